#include <cstring>

#include "dfa/space/box.hpp"

namespace dfa::spaces {

/// Many black rectangles, `number` of `height` x `width` pixels each: top and left of each.
SpaceDefinition tiny_rectangles(const ImageShape& shape, const Parameters& parameters) {
  const std::int32_t number = parameter(parameters, "number", 1, 10'000);
  const std::int32_t height = parameter(parameters, "height", 1, static_cast<std::int32_t>(shape.height));
  const std::int32_t width = parameter(parameters, "width", 1, static_cast<std::int32_t>(shape.width));
  SpaceDefinition space;
  for (std::int32_t i = 0; i < number; ++i) {
    space.low.insert(space.low.end(), 2, 0);
    space.high.push_back(interval_end(std::int64_t{shape.height} - height));
    space.high.push_back(interval_end(std::int64_t{shape.width} - width));
  }
  const std::size_t line = std::size_t{shape.width} * shape.channels;
  const std::size_t length = static_cast<std::size_t>(width) * shape.channels;
  space.render = [shape, number, height, line, length](const std::uint8_t* original, const std::int16_t* x,
                                                       std::uint8_t* image) {
    std::memcpy(image, original, shape.size());
    for (std::int32_t i = 0; i < number; ++i, x += 2) {
      std::uint8_t* row =
          image + static_cast<std::size_t>(x[0]) * line + static_cast<std::size_t>(x[1]) * shape.channels;
      for (std::int32_t j = 0; j < height; ++j, row += line) {
        std::memset(row, 0, length);
      }
    }
  };
  return space;
}

}  // namespace dfa::spaces
