#include "dfa/search/descent.hpp"

#include <stdexcept>

namespace dfa {
namespace {

// Their numbers double, so that no search comes to more.
constexpr std::uint32_t kMostLooks = 32;

}  // namespace

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

void Descent::save(StateWriter& out) const {
  out.put(first_birth_);
  out.put(num_looks_);
  out.put_double(last_look_);
}

Descent Descent::load(std::uint64_t next_birth, StateReader& in) {
  Descent descent(in.get<std::uint64_t>());
  descent.num_looks_ = in.get<std::uint32_t>();
  descent.last_look_ = in.get_double();
  if (descent.first_birth_ > next_birth || descent.num_looks_ > kMostLooks) {
    throw std::invalid_argument("saved state holds a descent that cannot be");
  }
  return descent;
}

}  // namespace dfa
