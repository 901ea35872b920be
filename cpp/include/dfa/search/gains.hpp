#pragma once

#include <array>
#include <cmath>
#include <cstddef>
#include <cstdint>

#include "dfa/base/random.hpp"
#include "dfa/search/texture.hpp"

namespace dfa {

/// Whether a number can be a count, or a sum of what is never negative. States that hold others are refused.
inline bool is_tally(double number) { return std::isfinite(number) && number >= 0.0; }
constexpr const char* kNoTally = "a number that none of its counts can be";

/// What one way of filling windows has brought: by how much degrees fell, over how many candidates.
struct Gain {
  double sum = 0.0;
  double count = 0.0;

  template <typename Self, typename State>
  static void describe(Self& self, State& state) {
    state.field(self.sum);
    state.field(self.count);
    state.require(is_tally(self.sum) && is_tally(self.count), kNoTally);
  }
};

/// Learns which textures of windows lower the degree, and draws the next window's in proportion to a power of it. A
/// texture that has not been tried counts as average.
class Gains {
 public:
  /// Number of a window's filling: 0 is plain, i + 1 is kWindowTextures[i].
  static constexpr std::size_t kPlain = 0;
  static constexpr std::size_t kNumFillings = 1 + kWindowTextures.size();
  /// The signs that the caller gave: a filling that takes part only where there are any.
  static constexpr std::size_t kPrior = kNumFillings;

  /// Draws whether a window takes the caller's signs.
  bool draw_is_prior(Stream& stream) const;
  /// Draws any other filling.
  std::size_t draw(Stream& stream) const;
  /// Takes the gain of one window: how far below its parent's degree its own is, and 0 if it is not. What was learned
  /// before fades, as the search moves on.
  void learn(std::size_t filling, double gain);
  /// Adds what another search learned, scaled down to the weight of `count` candidates, if it is more.
  void learn_from(const Gains& other, double count);
  /// Adds a gain without fading.
  void add(std::size_t filling, double gain);
  void add(const Gains& other);

  /// Windows that are drawn, and those that take the caller's signs. What follows is of the former.
  std::array<Gain, 2> sources;
  /// Plain windows, and all others.
  std::array<Gain, 2> kinds;
  std::array<Gain, kWindowTextures.size()> textures;

  template <typename Self, typename State>
  static void describe(Self& self, State& state) {
    state.field(self.sources);
    state.field(self.kinds);
    state.field(self.textures);
  }
};

}  // namespace dfa
