#pragma once

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "dfa/search/gains.hpp"
#include "dfa/search/plan.hpp"
#include "dfa/space/signs.hpp"

namespace dfa {

/// How far a start's answer was from its forecast, and what it had to do with that of the other turn, if that was
/// known.
struct Surprise {
  double squared = 0.0;   ///< of the forecast
  double shared = 0.0;    ///< the other turn's times its own, both beside what all starts of the image had in common
  double partners = 0.0;  ///< the other turn's, squared

  // More than any number of images comes to, so that sums and quotients stay numbers.
  static constexpr double kMost = 1e15;

  void add(const Surprise& other) {
    squared += other.squared;
    shared += other.shared;
    partners += other.partners;
  }

  template <typename Self, typename State>
  static void describe(Self& self, State& state) {
    state.field(self.squared);
    state.field(self.shared);
    state.field(self.partners);
    state.require(is_tally(self.squared) && is_tally(self.partners) && std::isfinite(self.shared) &&
                      std::max({self.squared, self.partners, std::abs(self.shared)}) < kMost,
                  kNoTally);
  }
};

/// What one search teaches others, from its first kCandidates candidates only: later ones say more of that image than
/// of others. It may be handed over in parts.
struct Lesson {
  static constexpr std::uint64_t kCandidates = 200;

  struct Trial {
    std::uint32_t entry;
    double ratio;  ///< the start's degree over the clean image's; 0: it was adversarial
    Surprise surprise{};

    template <typename Self, typename State>
    static void describe(Self& self, State& state) {
      state.field(self.entry);
      state.field(self.ratio);
      state.require(!std::isnan(self.ratio), "a ratio that is not a number");
      state.field(self.surprise);
    }
  };

  /// Takes a candidate that is no start; the first of a search tells that there is one.
  void add_window(bool is_first) {
    num_searches += is_first ? 1U : 0U;
    ++num_windows;
  }
  /// Takes what a filling of a window brought, as Gains does, but no more of it than any image may bring.
  void add_gain(std::size_t filling, double gain);
  /// Takes the perturbation of the first adversarial candidate.
  void add_hit(Signs signs);

  std::vector<Trial> trials;
  Gains gains;
  std::uint64_t num_searches = 0;      ///< 1 in the part with the first candidate after the starts, else 0
  std::uint64_t num_windows = 0;       ///< candidates after the starts
  std::shared_ptr<const Signs> found;  ///< of the first adversarial candidate, unless that was a start

  template <typename Self, typename State>
  static void describe(Self& self, State& state) {
    state.field(self.trials);
    state.field(self.gains);
    state.field(self.num_searches);
    state.field(self.num_windows);
    state.field(self.found);
  }

  /// The lesson as bytes, and back. Throws std::invalid_argument for bytes it cannot use.
  std::string save() const;
  static Lesson load(std::size_t num_coordinates, const std::string& bytes);
};

}  // namespace dfa
