#include <algorithm>

#include "dfa/space/box.hpp"

namespace dfa::spaces {

/// A coarse perturbation: one value of [-epsilon, epsilon] for every channel of every tile of `factor` x `factor`
/// pixels, those at the lower and the right edge cut off; clamp(d + x).
SpaceDefinition tiled(const ImageShape& shape, const Parameters& parameters) {
  const auto epsilon = static_cast<std::int16_t>(parameter(parameters, "epsilon", 1, 255));
  const auto side = static_cast<std::int32_t>(std::max(shape.height, shape.width));
  const auto factor = static_cast<std::uint32_t>(parameter(parameters, "factor", 1, side));
  const std::size_t rows = (shape.height + factor - 1) / factor;
  const std::size_t columns = (shape.width + factor - 1) / factor;
  SpaceDefinition space;
  space.low.assign(rows * columns * shape.channels, static_cast<std::int16_t>(-epsilon));
  space.high.assign(space.low.size(), epsilon);
  space.render = [shape, factor, columns](const std::uint8_t* original, const std::int16_t* x, std::uint8_t* image) {
    for (std::uint32_t row = 0; row < shape.height; ++row) {
      const std::int16_t* tiles = x + row / factor * columns * shape.channels;
      for (std::uint32_t column = 0; column < shape.width; ++column) {
        const std::int16_t* values = tiles + std::size_t{column / factor} * shape.channels;
        for (std::uint32_t channel = 0; channel < shape.channels; ++channel) {
          *image++ = static_cast<std::uint8_t>(std::clamp(*original++ + values[channel], 0, 255));
        }
      }
    }
  };
  return space;
}

}  // namespace dfa::spaces
