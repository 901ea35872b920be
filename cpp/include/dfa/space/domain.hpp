#pragma once

#include <array>
#include <cstdint>

namespace dfa {

/// Which perturbations exist at a coordinate whose original value is d and whose radius is e.
enum class Domain : std::uint8_t {
  kBall,   ///< [-e, e]; what leaves 0..255 is clamped when rendered (the paper)
  kValid,  ///< [max(-e, -d), min(e, 255 - d)]; no two perturbations render alike
};
constexpr std::array<const char*, 2> names_of(Domain) { return {"ball", "valid"}; }

}  // namespace dfa
