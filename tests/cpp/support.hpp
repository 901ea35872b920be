#pragma once

// What several of these tests need: whole vectors, random spaces, and a bookkeeping of populations that keeps
// everything whole.

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <utility>
#include <vector>

#include "dfa/base/random.hpp"
#include "dfa/search/config.hpp"
#include "dfa/search/population.hpp"
#include "dfa/search/proposal.hpp"
#include "dfa/space/perturbation.hpp"
#include "dfa/space/space.hpp"

namespace support {

using Whole = std::vector<std::int32_t>;

/// Arbitrary but fixed numbers.
inline dfa::Stream numbers(std::uint32_t which) { return dfa::Stream({20, which, 0, 0}); }

inline std::vector<std::uint8_t> random_pixels(std::size_t size, dfa::Stream& stream) {
  std::vector<std::uint8_t> pixels(size);
  for (std::uint8_t& pixel : pixels) {
    // Black and white often: there clamping hides what a perturbation is.
    const std::uint32_t kind = stream.below(4);
    pixel = static_cast<std::uint8_t>(kind == 0 ? 0U : kind == 1 ? 255U : stream.below(256));
  }
  return pixels;
}

/// A ball with one radius, or (radius 0) with a radius per coordinate, of which about a third are 0.
inline dfa::Space random_ball(std::size_t size, std::uint8_t radius, dfa::Domain domain, dfa::Stream& stream) {
  std::vector<std::uint8_t> original = random_pixels(size, stream);
  if (radius != 0) {
    return dfa::Space(std::move(original), radius, domain);
  }
  std::vector<std::uint8_t> radii(size);
  for (std::uint8_t& r : radii) {
    r = static_cast<std::uint8_t>(stream.below(3) == 0 ? 0U : stream.below(256));
  }
  radii[stream.below(static_cast<std::uint32_t>(size))] = 3;
  return dfa::Space(std::move(original), std::make_shared<const dfa::RadiusMap>(std::move(radii)), domain);
}

inline Whole random_whole(const dfa::Space& space, dfa::Stream& stream) {
  Whole whole(space.size(), 0);
  for (std::uint32_t i = 0; i < space.free_count(); ++i) {
    const std::uint32_t p = space.free_coordinate(i);
    const dfa::Bounds bounds = space.bounds(p);
    whole[p] = stream.between(bounds.low, bounds.high);
  }
  return whole;
}

inline dfa::DenseVector dense(const dfa::Space& space, const Whole& whole) {
  dfa::DenseVector vector(space.size(), space.largest());
  for (std::size_t p = 0; p < whole.size(); ++p) {
    vector.set(p, whole[p]);
  }
  return vector;
}

inline Whole whole_of(const dfa::Population& population, const dfa::Member& member, std::size_t size) {
  Whole whole(size);
  for (std::size_t p = 0; p < size; ++p) {
    whole[p] = population.value(member, static_cast<std::uint32_t>(p));
  }
  return whole;
}

inline std::vector<std::uint8_t> image_of(const dfa::Space& space, const Whole& whole) {
  std::vector<std::uint8_t> image(space.size());
  for (std::size_t p = 0; p < image.size(); ++p) {
    image[p] = static_cast<std::uint8_t>(std::min(std::max(space.original()[p] + whole[p], 0), 255));
  }
  return image;
}

/// A parent's values with what a proposal changes of them.
inline Whole applied(const dfa::Space& space, Whole whole, const dfa::Proposal& proposal) {
  const dfa::Rectangle& rectangle = proposal.rectangle;
  for (std::uint32_t row = 0; row < rectangle.height; ++row) {
    for (std::uint32_t column = 0; column < rectangle.length; ++column) {
      const std::uint32_t p = rectangle.first + row * rectangle.stride + column;
      const bool is_turned = !rectangle.row_turns.empty() && rectangle.row_turns[row] == 0xff;
      const bool is_high = (rectangle.picks_high[column] == 0xff) != is_turned;
      whole[p] = is_high ? space.bounds(p).high : space.bounds(p).low;
    }
  }
  for (const dfa::Edit& edit : proposal.edits) {
    whole[edit.coordinate] = edit.value;
  }
  return whole;
}

/// A random rectangle of the image, one side per channel; in half of them some rows are turned over.
inline dfa::Rectangle random_rectangle(const dfa::ImageShape& shape, dfa::Stream& stream) {
  dfa::Rectangle rectangle;
  const std::uint32_t height = 1 + stream.below(shape.height);
  const std::uint32_t width = 1 + stream.below(shape.width);
  dfa::place(shape, stream.below(shape.height - height + 1), stream.below(shape.width - width + 1), height, width,
             rectangle);
  for (std::uint32_t i = 0; i < rectangle.length; ++i) {
    const bool is_high = i < shape.channels ? stream.below(2) != 0 : rectangle.picks_high[i - shape.channels] != 0;
    rectangle.picks_high[i] = is_high ? 0xff : 0;
  }
  if (stream.below(2) != 0) {
    for (std::uint32_t row = 0; row < height; ++row) {
      rectangle.row_turns.push_back(stream.below(2) != 0 ? 0xff : 0);
    }
  }
  return rectangle;
}

struct WholeMember {
  double degree;
  std::uint64_t birth;
  Whole values;
};

/// A population whose core keeps edits, beside one that keeps whole vectors.
class Twin {
 public:
  Twin(const dfa::Config& config, const dfa::Space& space) : config_(config), space_(space), population(config) {}

  /// Iteration 0.
  void start(const std::vector<std::pair<double, Whole>>& members) {
    std::vector<dfa::DenseVector> wholes;
    wholes.reserve(members.size());
    std::vector<dfa::Arrival> arrivals;
    for (const auto& [degree, whole] : members) {
      wholes.push_back(dense(space_, whole));
      arrivals.push_back({degree, births_, &wholes.back(), 0, nullptr});
      reference.push_back({degree, births_++, whole});
    }
    population.merge(space_, arrivals);
    select();
  }

  /// One more iteration: (degree, proposal) for each candidate.
  void grow(std::vector<std::pair<double, dfa::Proposal>> candidates) {
    std::vector<dfa::Arrival> arrivals;
    const std::vector<WholeMember> before = reference;
    for (auto& [degree, proposal] : candidates) {
      std::vector<std::uint8_t> image(space_.size());
      dfa::render_proposal(space_, population, proposal, image.data());
      arrivals.push_back({degree, births_, nullptr, proposal.parent, &proposal.edits,
                          proposal.rectangle.is_empty() ? nullptr : &proposal.rectangle});
      reference.push_back({degree, births_++, applied(space_, before[proposal.parent].values, proposal)});
    }
    population.merge(space_, arrivals);
    select();
  }

  /// A random proposal of at most `n` coordinates, unchanged values among them.
  dfa::Proposal random_proposal(std::size_t n, dfa::Stream& stream) const {
    dfa::Proposal proposal;
    proposal.parent = stream.below(static_cast<std::uint32_t>(population.num_positives()));
    for (std::size_t i = 0; i < n; ++i) {
      const std::uint32_t p = space_.free_coordinate(stream.below(space_.free_count()));
      const bool is_known = std::any_of(proposal.edits.begin(), proposal.edits.end(),
                                        [p](const dfa::Edit& edit) { return edit.coordinate == p; });
      if (!is_known) {
        const dfa::Bounds bounds = space_.bounds(p);
        proposal.edits.push_back({p, static_cast<std::int16_t>(stream.between(bounds.low, bounds.high)), 0, 0, 0});
      }
    }
    std::sort(proposal.edits.begin(), proposal.edits.end(),
              [](const dfa::Edit& a, const dfa::Edit& b) { return a.coordinate < b.coordinate; });
    return proposal;
  }

 private:
  void select() {
    std::sort(reference.begin(), reference.end(), [this](const WholeMember& a, const WholeMember& b) {
      if (a.degree != b.degree) {
        return a.degree < b.degree;
      }
      return config_.ties == dfa::Ties::kOlder ? a.birth < b.birth : a.birth > b.birth;
    });
    if (reference.size() > config_.population()) {
      reference.resize(config_.population());
    }
  }

  dfa::Config config_;
  const dfa::Space& space_;
  std::uint64_t births_ = 0;

 public:
  dfa::Population population;
  std::vector<WholeMember> reference;
};

}  // namespace support
