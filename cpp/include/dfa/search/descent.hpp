#pragma once

#include <cstdint>

#include "dfa/search/config.hpp"
#include "dfa/search/looks.hpp"

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
  bool comes_to_rest(const Config& config, std::uint64_t num_answered, double best) {
    return looks_.find_rest(config.restart_after, config.rest_ratio, num_answered, best);
  }

  template <typename Self, typename State>
  static void describe(Self& self, State& state) {
    state.field(self.first_birth_);
    state.field(self.looks_);
    state.require(self.looks_.are_possible(), kNoDescent);
  }

 private:
  std::uint64_t first_birth_ = 0;
  Looks looks_;
};

}  // namespace dfa
