#pragma once

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

  template <typename Self, typename State>
  static void describe(Self& self, State& state) {
    state.field(self.entry);
    state.field(self.texture);
    state.field(self.signs);
  }
};

/// What a search is given of the images before it. Fixed when the search begins, and part of its state.
struct Plan {
  std::vector<PlannedStart> starts;
  Gains gains;
  double scale = 1.0;  ///< the clean image's degree, by which degrees of different images are compared

  template <typename Self, typename State>
  static void describe(Self& self, State& state) {
    state.field(self.starts);
    state.field(self.gains);
    state.field(self.scale);
  }
};

/// The plan of a search that knows of no other: the textured starts in their order.
Plan plan_alone(std::size_t num_starts);

}  // namespace dfa
