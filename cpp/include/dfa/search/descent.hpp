#pragma once

#include <cstdint>

#include "dfa/search/config.hpp"

namespace dfa {

/// A stretch of a search that begins with starts and ends where it comes to rest: where the second half of its
/// candidates left more than a share, Config::rest_ratio, of the best degree that the first half had reached.
class Descent {
 public:
  static constexpr const char* kNoDescent = "a descent that cannot be";

  Descent() = default;
  /// `first_birth` is that of the first candidate.
  explicit Descent(std::uint64_t first_birth) : first_birth_(first_birth) {}

  std::uint64_t first_birth() const { return first_birth_; }
  /// Whether no other came before it.
  bool is_first() const { return first_birth_ == 0; }
  /// Whether it ends here, `num_answered` candidates after its starts, the best of them of degree `best`.
  bool comes_to_rest(const Config& config, std::uint64_t num_answered, double best);

  template <typename Self, typename State>
  static void describe(Self& self, State& state) {
    state.field(self.first_birth_);
    state.field(self.num_looks_);
    state.field(self.last_look_);
    state.require(self.num_looks_ <= kMostLooks, kNoDescent);
  }

 private:
  // Their numbers double, so that no search comes to more.
  static constexpr std::uint32_t kMostLooks = 32;
  /// Answered candidates at which it is next held against half as many.
  std::uint64_t next_look(const Config& config) const;

  std::uint64_t first_birth_ = 0;
  std::uint32_t num_looks_ = 0;
  double last_look_ = 0.0;  // the best degree then
};

}  // namespace dfa
