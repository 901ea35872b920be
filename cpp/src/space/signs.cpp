#include "dfa/space/signs.hpp"

namespace dfa {

std::size_t num_words(std::size_t num_coordinates) { return num_coordinates / 64U + (num_coordinates % 64U != 0); }

Signs signs_of(const DenseVector& vector) {
  Signs signs(num_words(vector.size()), 0);
  for (std::size_t p = 0; p < vector.size(); ++p) {
    if (vector[p] > 0) {
      signs[p / 64U] |= std::uint64_t{1} << (p % 64U);
    }
  }
  return signs;
}

DenseVector apply_signs(const Signs& signs, const Space& space) {
  DenseVector vector(space.size(), space.largest());
  for (std::uint32_t p = 0; p < space.size(); ++p) {
    const Bounds bounds = space.bounds(p);
    vector.set(p, is_raised(signs, p) ? bounds.high : bounds.low);
  }
  return vector;
}

}  // namespace dfa
