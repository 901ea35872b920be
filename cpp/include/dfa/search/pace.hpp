#pragma once

#include <algorithm>
#include <cstdint>

#include "dfa/search/config.hpp"

namespace dfa {

/// How many windows an iteration has: as many as the search's own success lately promises Config::improvements of.
class Pace {
 public:
  /// Windows of the next iteration, at least Config::samples.
  std::uint32_t num_windows(const Config& config) const {
    if (config.improvements == 0.0) {
      return config.samples;
    }
    const double wanted = config.improvements * (num_asked_ + kTrust) / (num_improved_ + kTrust);
    return std::max(config.samples, static_cast<std::uint32_t>(wanted));
  }
  /// Takes an iteration's windows, and how many of them lowered the degree.
  void count(std::uint32_t asked, std::uint32_t improved) {
    num_asked_ += asked;
    num_improved_ += improved;
    while (num_asked_ > kMemory) {
      num_asked_ /= 2U;
      num_improved_ /= 2U;
    }
  }

  template <typename Self, typename State>
  static void describe(Self& self, State& state) {
    state.field(self.num_asked_);
    state.field(self.num_improved_);
    state.require(self.num_improved_ <= self.num_asked_ && self.num_asked_ <= kMemory, "a pace that cannot be");
  }

 private:
  // Windows that are taken to have been asked, and to have improved: few go together before much is known.
  static constexpr std::uint32_t kTrust = 2;
  // Windows that count; of more, the older ones count less.
  static constexpr std::uint32_t kMemory = 64;

  std::uint32_t num_asked_ = 0;
  std::uint32_t num_improved_ = 0;
};

}  // namespace dfa
