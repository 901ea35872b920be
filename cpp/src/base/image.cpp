#include "dfa/base/image.hpp"

#include <stdexcept>
#include <string>

namespace dfa {

void validate(const ImageShape& shape) {
  if (shape.height == 0 || shape.width == 0 || shape.channels == 0) {
    throw std::invalid_argument("an image needs a height, a width and channels of at least 1");
  }
  // So that rows, columns and differences of them fit in signed integers.
  const std::uint64_t most = INT32_MAX;
  // The product of all three may be beyond 64 bits.
  if (std::uint64_t{shape.height} * shape.width > most / shape.channels) {
    throw std::invalid_argument("an image must hold at most 2^31-1 values, got " + std::to_string(shape.height) +
                                " x " + std::to_string(shape.width) + " x " + std::to_string(shape.channels));
  }
}

}  // namespace dfa
