#include <algorithm>

#include "dfa/space/box.hpp"

namespace dfa::spaces {

/// The image moved by whole pixels, at most `rows` up or down and `columns` to a side; its edges are repeated.
SpaceDefinition shift(const ImageShape& shape, const Parameters& parameters) {
  const auto height = static_cast<std::int32_t>(shape.height);
  const auto width = static_cast<std::int32_t>(shape.width);
  const auto rows = interval_end(parameter(parameters, "rows", 0, height - 1));
  const auto columns = interval_end(parameter(parameters, "columns", 0, width - 1));
  SpaceDefinition space;
  space.low = {static_cast<std::int16_t>(-rows), static_cast<std::int16_t>(-columns)};
  space.high = {rows, columns};
  space.render = [=](const std::uint8_t* original, const std::int16_t* x, std::uint8_t* image) {
    for (std::int32_t row = 0; row < height; ++row) {
      const std::int32_t from_row = std::clamp(row - x[0], 0, height - 1);
      for (std::int32_t column = 0; column < width; ++column) {
        const std::int32_t from_column = std::clamp(column - x[1], 0, width - 1);
        const auto pixel = static_cast<std::size_t>(from_row * width + from_column) * shape.channels;
        image = std::copy_n(original + pixel, shape.channels, image);
      }
    }
  };
  return space;
}

}  // namespace dfa::spaces
