#include "dfa/search/descent.hpp"

namespace dfa {

std::uint64_t Descent::next_look(const Config& config) const {
  return num_looks_ == 0 ? config.restart_after / 2 : std::uint64_t{config.restart_after} << (num_looks_ - 1U);
}

bool Descent::comes_to_rest(const Config& config, std::uint64_t num_answered, double best) {
  if (config.restart_after == 0 || num_answered < next_look(config)) {
    return false;
  }
  if (num_looks_ > 0 && best > config.rest_ratio * last_look_) {
    return true;
  }
  last_look_ = best;
  while (next_look(config) <= num_answered) {
    ++num_looks_;
  }
  return false;
}

}  // namespace dfa
