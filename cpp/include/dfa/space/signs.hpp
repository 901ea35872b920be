#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "dfa/space/perturbation.hpp"
#include "dfa/space/space.hpp"

namespace dfa {

/// A perturbation apart from the image it was found on: one bit per coordinate, set where it raises the pixel.
using Signs = std::vector<std::uint64_t>;

/// Words that the signs of so many coordinates take.
std::size_t num_words(std::size_t num_coordinates);
Signs signs_of(const DenseVector& vector);
inline bool is_raised(const Signs& signs, std::size_t coordinate) {
  return ((signs[coordinate / 64U] >> (coordinate % 64U)) & 1U) != 0;
}
/// The perturbation of another image that has the same signs, at the ends of that image's bounds.
DenseVector apply_signs(const Signs& signs, const Space& space);

}  // namespace dfa
