#include "dfa/search/study.hpp"

#include <cstddef>
#include <stdexcept>
#include <string>
#include <utility>

#include "dfa/base/random.hpp"
#include "dfa/search/coverage.hpp"
#include "dfa/search/differences.hpp"
#include "dfa/search/gains.hpp"
#include "dfa/search/population.hpp"
#include "dfa/search/proposal.hpp"

namespace dfa {
namespace {

DenseVector to_dense(const Space& space, const std::vector<std::int32_t>& values) {
  if (values.size() != space.size()) {
    throw std::invalid_argument("expected members of " + std::to_string(space.size()) + " values, got " +
                                std::to_string(values.size()));
  }
  DenseVector whole(values.size(), space.largest());
  for (std::uint32_t p = 0; p < values.size(); ++p) {
    const Bounds bounds = space.bounds(p);
    if (values[p] < bounds.low || values[p] > bounds.high) {
      throw std::invalid_argument("member holds a perturbation outside its bounds: " + std::to_string(values[p]) +
                                  " at coordinate " + std::to_string(p));
    }
    whole.set(p, values[p]);
  }
  return whole;
}

}  // namespace

std::vector<std::vector<std::int32_t>> draw_from(const Config& config, const ImageShape& shape, const Space& space,
                                                 const std::vector<std::vector<std::int32_t>>& members,
                                                 std::uint64_t seed, std::uint32_t count) {
  validate(config);
  validate(shape);
  validate(config, shape, space);
  if (members.size() != config.population()) {
    throw std::invalid_argument("expected " + std::to_string(config.population()) + " members, got " +
                                std::to_string(members.size()));
  }
  std::vector<DenseVector> wholes;
  for (const std::vector<std::int32_t>& member : members) {
    wholes.push_back(to_dense(space, member));
  }
  std::vector<Arrival> arrivals;
  for (std::size_t i = 0; i < wholes.size(); ++i) {
    arrivals.push_back({static_cast<double>(i), i, &wholes[i], 0, nullptr});
  }
  Population population(config);
  population.merge(space, arrivals);
  Differences differences;
  if (config.region == Region::kOrdered) {
    differences.update(space, population, 0);
  }
  const Gains gains;
  const Coverage coverage(shape);
  const ProposalContext context{config,
                                shape,
                                space,
                                population,
                                differences.pairs(),
                                gains,
                                coverage,
                                window_side(config, shape, 0),
                                window_share(config, 0),
                                nullptr};
  Scratch scratch;
  Proposal proposal;
  std::vector<std::vector<std::int32_t>> drawn;
  drawn.reserve(count);
  for (std::uint32_t i = 0; i < count; ++i) {
    Stream stream({seed, 0, 1, i});
    draw_proposal(context, stream, scratch, proposal);
    std::vector<std::int32_t> vector = members[proposal.parent];
    const Rectangle& rectangle = proposal.rectangle;
    for (std::uint32_t row = 0; row < rectangle.height; ++row) {
      for (std::uint32_t column = 0; column < rectangle.length; ++column) {
        const std::uint32_t p = rectangle.start(row) + column;
        vector[p] = rectangle.value(space, row, column);
      }
    }
    for (const Edit& edit : proposal.edits) {
      vector[edit.coordinate] = edit.value;
    }
    drawn.push_back(std::move(vector));
  }
  return drawn;
}

}  // namespace dfa
