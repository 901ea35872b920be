#pragma once

#include <cstdint>

namespace dfa {

/// How something is seen to come to rest: its best degree is looked at when half of a number of candidates are
/// answered, when all of them are, and again whenever they have doubled. It rests where more than a share of the degree
/// at the last look is left.
class Looks {
 public:
  /// Whether it does so now. `after` is the number of candidates; 0: never.
  bool find_rest(std::uint32_t after, double ratio, std::uint64_t num_answered, double best);

  /// Whether there have been no more than can be.
  bool are_possible() const { return num_looks_ <= kMost; }

  template <typename Self, typename State>
  static void describe(Self& self, State& state) {
    state.field(self.num_looks_);
    state.field(self.last_);
  }

 private:
  // Their numbers double, so that no search comes to more.
  static constexpr std::uint32_t kMost = 32;
  /// Answered candidates at the next one.
  std::uint64_t next(std::uint32_t after) const;

  std::uint32_t num_looks_ = 0;
  double last_ = 0.0;  // the best degree then
};

}  // namespace dfa
