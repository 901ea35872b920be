#include "dfa/space/box.hpp"

#include <algorithm>
#include <cstdlib>
#include <limits>
#include <stdexcept>
#include <utility>

namespace dfa {
namespace {

SpaceDefinition define(const std::string& kind, const ImageShape& shape, const Parameters& parameters) {
  validate(shape);
  const std::vector<SpaceKind>& kinds = space_kinds();
  const auto found = std::find_if(kinds.begin(), kinds.end(), [&](const SpaceKind& each) { return kind == each.name; });
  if (found == kinds.end()) {
    throw std::invalid_argument("no space is called " + kind);
  }
  return found->define(shape, parameters);
}

SpaceDefinition with_intervals(SpaceDefinition definition, std::vector<std::int16_t> low,
                               std::vector<std::int16_t> high) {
  if (low.size() != definition.low.size() || high.size() != definition.high.size()) {
    throw std::invalid_argument("expected " + std::to_string(definition.low.size()) +
                                " low ends and as many high ones, got " + std::to_string(low.size()) + " and " +
                                std::to_string(high.size()));
  }
  for (std::size_t p = 0; p < low.size() && !definition.takes_any_interval; ++p) {
    // What a renderer does with others is not known.
    if (low[p] < definition.low[p] || high[p] > definition.high[p]) {
      throw std::invalid_argument("interval " + std::to_string(p) + " must lie within " +
                                  std::to_string(definition.low[p]) + ".." + std::to_string(definition.high[p]) +
                                  ", got " + std::to_string(low[p]) + ".." + std::to_string(high[p]));
    }
  }
  if (low != definition.low || high != definition.high) {
    definition.moves = OwnMoves();  // they know of no others
  }
  definition.low = std::move(low);
  definition.high = std::move(high);
  return definition;
}

}  // namespace

std::int32_t parameter(const Parameters& parameters, const std::string& name, std::int32_t low, std::int32_t high) {
  const auto found = parameters.find(name);
  if (found == parameters.end()) {
    throw std::invalid_argument(name + " is missing");
  }
  if (found->second < low || found->second > high) {
    throw std::invalid_argument(name + " must be in " + std::to_string(low) + ".." + std::to_string(high) + ", got " +
                                std::to_string(found->second));
  }
  return found->second;
}

std::int16_t interval_end(std::int64_t value) {
  if (value < std::numeric_limits<std::int16_t>::min() || value > std::numeric_limits<std::int16_t>::max()) {
    throw std::invalid_argument("an interval must end within 16 bits, -32768..32767, got " + std::to_string(value) +
                                ": the image is too large for this space");
  }
  return static_cast<std::int16_t>(value);
}

Box::Box(const std::string& kind, const ImageShape& shape, const Parameters& parameters)
    : Box(kind, shape, parameters, define(kind, shape, parameters)) {}

Box::Box(const std::string& kind, const ImageShape& shape, const Parameters& parameters, std::vector<std::int16_t> low,
         std::vector<std::int16_t> high)
    : Box(kind, shape, parameters, with_intervals(define(kind, shape, parameters), std::move(low), std::move(high))) {}

Box::Box(const std::string& kind, const ImageShape& shape, const Parameters& parameters, SpaceDefinition definition)
    : kind_(kind),
      parameters_(parameters),
      shape_(shape),
      low_(std::move(definition.low)),
      high_(std::move(definition.high)),
      render_(std::move(definition.render)),
      moves_(std::move(definition.moves)) {
  if (low_.empty() || low_.size() != high_.size() || low_.size() > std::numeric_limits<std::uint32_t>::max()) {
    throw std::invalid_argument("a box needs as many low ends as high ones, and at least one, got " +
                                std::to_string(low_.size()) + " and " + std::to_string(high_.size()));
  }
  for (std::size_t p = 0; p < low_.size(); ++p) {
    if (low_[p] > high_[p]) {
      throw std::invalid_argument("interval " + std::to_string(p) + " must not end before it begins, got " +
                                  std::to_string(low_[p]) + ".." + std::to_string(high_[p]));
    }
    if (low_[p] != high_[p]) {
      free_.push_back(static_cast<std::uint32_t>(p));
    }
    largest_ = std::max({largest_, std::abs(std::int32_t{low_[p]}), std::abs(std::int32_t{high_[p]})});
  }
  if (free_.empty()) {
    throw std::invalid_argument("every interval holds a single value: there is nothing to search");
  }
}

}  // namespace dfa
