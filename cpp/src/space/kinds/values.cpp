#include <cstring>
#include <stdexcept>
#include <string>

#include "dfa/space/box.hpp"

namespace dfa::spaces {

/// No image at all: x itself, whose intervals and meaning are the caller's, as the bytes of its 16-bit integers in the
/// machine's order. The shape is (1, integers, 2).
SpaceDefinition values(const ImageShape& shape, const Parameters&) {
  if (shape.height != 1 || shape.channels != sizeof(std::int16_t)) {
    throw std::invalid_argument("the shape of plain values must be (1, integers, 2), got (" +
                                std::to_string(shape.height) + ", " + std::to_string(shape.width) + ", " +
                                std::to_string(shape.channels) + ")");
  }
  SpaceDefinition space;
  space.low.assign(shape.width, 0);
  space.high.assign(shape.width, 0);
  space.takes_any_interval = true;
  space.render = [shape](const std::uint8_t*, const std::int16_t* x, std::uint8_t* image) {
    std::memcpy(image, x, shape.size());
  };
  return space;
}

}  // namespace dfa::spaces
