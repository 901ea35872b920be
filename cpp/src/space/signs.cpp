#include "dfa/space/signs.hpp"

#include <utility>

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
    vector.set(p, ((signs[p / 64U] >> (p % 64U)) & 1U) != 0 ? bounds.high : bounds.low);
  }
  return vector;
}

void save_signs(const std::shared_ptr<const Signs>& signs, StateWriter& out) {
  out.put(static_cast<std::uint8_t>(signs ? 1 : 0));
  if (signs) {
    for (const std::uint64_t word : *signs) {
      out.put(word);
    }
  }
}

std::shared_ptr<const Signs> load_signs(std::size_t num_coordinates, StateReader& in) {
  if (in.get<std::uint8_t>() == 0) {
    return nullptr;
  }
  // One by one, so that a damaged number of coordinates ends with the bytes and not with the memory.
  Signs signs;
  for (std::size_t i = 0; i < num_words(num_coordinates); ++i) {
    signs.push_back(in.get<std::uint64_t>());
  }
  return std::make_shared<const Signs>(std::move(signs));
}

}  // namespace dfa
