#include "dfa/search/looks.hpp"

namespace dfa {

std::uint64_t Looks::next(std::uint32_t after) const {
  return num_looks_ == 0 ? after / 2 : std::uint64_t{after} << (num_looks_ - 1U);
}

bool Looks::find_rest(std::uint32_t after, double ratio, std::uint64_t num_answered, double best) {
  if (after == 0 || num_answered < next(after)) {
    return false;
  }
  if (num_looks_ > 0 && best > ratio * last_) {
    return true;
  }
  last_ = best;
  while (next(after) <= num_answered) {
    ++num_looks_;
  }
  return false;
}

}  // namespace dfa
