#pragma once

#include <cmath>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

#include "dfa/search/gains.hpp"
#include "dfa/space/signs.hpp"

namespace dfa {

/// A start of a search: one of the textured ones, or the signs of a perturbation that broke another image.
struct PlannedStart {
  std::uint32_t entry = 0;    ///< what the archive calls it
  std::uint32_t texture = 0;  ///< 0..kNumTexturedStarts-1, where there are no signs
  std::shared_ptr<const Signs> signs;
  double rate = kTextureRate;  ///< expected rate of success

  /// Name of the start that a prior gave; the archive keeps no signs of it.
  static constexpr std::uint32_t kPriorEntry = 0xffffffff;
  /// Of a texture that was never tried.
  static constexpr double kTextureRate = 0.1;

  template <typename Self, typename State>
  static void describe(Self& self, State& state) {
    state.field(self.entry);
    state.field(self.texture);
    state.field(self.signs);
    state.field(self.rate);
    state.require(is_tally(self.rate), "a rate that cannot be");
  }
};

/// What a search is given of the images before it. Fixed when the search begins, and part of its state.
struct Plan {
  std::vector<PlannedStart> starts;
  Gains gains;
  double scale = 1.0;  ///< the clean image's degree, by which degrees of different images are compared

  /// How many of the starts from `first` on are asked together. Nothing descends from a start before all are told, so
  /// that all that is lost is what stands behind a success: one more goes with others while of those few are expected.
  std::uint32_t group_size(std::size_t first) const;

  template <typename Self, typename State>
  static void describe(Self& self, State& state) {
    state.field(self.starts);
    state.field(self.gains);
    state.field(self.scale);
    state.require(std::isfinite(self.scale) && self.scale > 0.0, "a scale that cannot be");
  }
};

/// The plan of a search that knows of no other: the textured starts in their order.
Plan plan_alone(std::size_t num_starts);
/// A prior's start, of which nothing is known.
PlannedStart prior_start(std::shared_ptr<const Signs> signs);

}  // namespace dfa
