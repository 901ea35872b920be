#pragma once

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <memory>
#include <vector>

#include "dfa/search/gains.hpp"
#include "dfa/search/texture.hpp"
#include "dfa/space/signs.hpp"

namespace dfa {

/// A ratio above this says no more than that the start is useless.
constexpr double kLargestRatio = 1.5;
/// The square root of the share of the clean degree that is left: what starts are compared by, since a start that
/// leaves 0.01 instead of 0.04 saves about as many windows as one that leaves 0.5 instead of 0.65.
inline double root_left(double ratio) { return std::sqrt(std::clamp(ratio, 0.0, kLargestRatio)); }

/// What is expected of a start, in square roots of the share of the clean degree that it leaves (`root_left`).
struct Outlook {
  double root = 1.0;      ///< on average
  double variance = 1.0;  ///< of what it leaves about its forecast, above 0
  double bond = 0.0;      ///< share of the other turn's surprise that it shares, 0..1

  template <typename Self, typename State>
  static void describe(Self& self, State& state) {
    state.field(self.root);
    state.field(self.variance);
    state.field(self.bond);
    state.require(self.root >= 0.0 && self.root <= root_left(kLargestRatio) && is_tally(self.variance) &&
                      self.variance > 0.0 && self.bond >= 0.0 && self.bond <= 1.0,
                  "an outlook that cannot be");
  }
};

/// A start of a search: one of the textured ones, or the signs of a perturbation that broke another image.
struct PlannedStart {
  std::uint32_t entry = 0;    ///< what the archive calls it
  std::uint32_t texture = 0;  ///< 0..kNumTexturedStarts-1, where there are no signs
  std::shared_ptr<const Signs> signs;
  double rate = kTextureRate;  ///< expected rate of success
  Outlook outlook{};

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
    state.require(self.texture < kNumTexturedStarts, "a texture that there is not");
    state.field(self.outlook);
  }
};

/// What a search is given of the images before it. Fixed when the search begins, and part of its state.
struct Plan {
  std::vector<PlannedStart> starts;
  Gains gains;
  double scale = 1.0;  ///< the clean image's degree, by which degrees of different images are compared
  /// A start is asked while its forecast, less so many standard deviations, is below the best that was answered.
  /// Infinite where nothing is known: all are asked, in their order.
  double patience = std::numeric_limits<double>::infinity();
  /// Share that a texture's other turn shares of its surprise, over all textures and images so far. Below 0, what hurts
  /// one way round helps the other way round: windows that hurt are turned over. 0 where nothing is known.
  double bond = 0.0;

  /// Has perturbations and the first 12 textured starts asked, in their order, whatever is forecast of them: for whom
  /// degrees say no more than whether a start succeeded, so that nothing follows from one for another.
  void ask_the_first();

  template <typename Self, typename State>
  static void describe(Self& self, State& state) {
    state.field(self.starts);
    state.field(self.gains);
    state.field(self.scale);
    state.require(std::isfinite(self.scale) && self.scale > 0.0, "a scale that cannot be");
    state.field(self.patience);
    state.require(self.patience >= 0.0, "a patience that cannot be");
    state.field(self.bond);
    state.require(std::isfinite(self.bond), "a bond that cannot be");
  }
};

/// The plan of a search that knows of no other: the textured starts in their order.
Plan plan_alone(std::size_t num_starts);
/// A prior's start, of which nothing is known.
PlannedStart prior_start(std::shared_ptr<const Signs> signs);

}  // namespace dfa
