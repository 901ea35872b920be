#include <algorithm>
#include <cstring>

#include "dfa/space/box.hpp"

namespace dfa::spaces {

/// One rectangle of one colour laid over the image: top, left, height and width, at most `height` and `width`, cut off
/// at the image's edges; and its colour, one value per channel, unless `colour` gives it (-1: it does not).
SpaceDefinition rectangle(const ImageShape& shape, const Parameters& parameters) {
  const auto image_height = static_cast<std::int32_t>(shape.height);
  const auto image_width = static_cast<std::int32_t>(shape.width);
  const std::int32_t height = parameter(parameters, "height", 1, image_height);
  const std::int32_t width = parameter(parameters, "width", 1, image_width);
  const std::int32_t colour = parameter(parameters, "colour", -1, 255);
  SpaceDefinition space;
  space.low = {0, 0, 1, 1};
  for (const std::int32_t high : {image_height - 1, image_width - 1, height, width}) {
    space.high.push_back(interval_end(high));
  }
  if (colour < 0) {
    space.low.insert(space.low.end(), shape.channels, 0);
    space.high.insert(space.high.end(), shape.channels, 255);
  }
  space.render = [shape, colour](const std::uint8_t* original, const std::int16_t* x, std::uint8_t* image) {
    std::memcpy(image, original, shape.size());
    const auto bottom = std::min(static_cast<std::uint32_t>(x[0] + x[2]), shape.height);
    const auto right = std::min(static_cast<std::uint32_t>(x[1] + x[3]), shape.width);
    for (auto row = static_cast<std::uint32_t>(x[0]); row < bottom; ++row) {
      for (auto column = static_cast<std::uint32_t>(x[1]); column < right; ++column) {
        std::uint8_t* pixel = image + (std::size_t{row} * shape.width + column) * shape.channels;
        for (std::uint32_t channel = 0; channel < shape.channels; ++channel) {
          pixel[channel] = static_cast<std::uint8_t>(colour < 0 ? x[4 + channel] : colour);
        }
      }
    }
  };
  return space;
}

}  // namespace dfa::spaces
