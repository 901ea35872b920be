#include <cstring>
#include <stdexcept>
#include <string>

#include "dfa/space/box.hpp"

namespace dfa::spaces {

/// Few pixels: row, column and colour of each of `number` pixels, which replace those of the image, the last one where
/// two fall on one place (Su, Vargas, Sakurai, One pixel attack for fooling deep neural networks, 2019).
SpaceDefinition pixels(const ImageShape& shape, const Parameters& parameters) {
  const std::int32_t number = parameter(parameters, "number", 1, 10'000);
  // Where images have very many channels, the integers take more memory than any number of images.
  constexpr std::uint64_t kMost = 1U << 28U;
  if (std::uint64_t{2} + shape.channels > kMost / static_cast<std::uint64_t>(number)) {
    throw std::invalid_argument(std::to_string(number) + " pixels of " + std::to_string(shape.channels) +
                                " channels are more than " + std::to_string(kMost) + " integers");
  }
  SpaceDefinition space;
  for (std::int32_t i = 0; i < number; ++i) {
    space.low.insert(space.low.end(), 2 + shape.channels, 0);
    space.high.push_back(interval_end(std::int64_t{shape.height} - 1));
    space.high.push_back(interval_end(std::int64_t{shape.width} - 1));
    space.high.insert(space.high.end(), shape.channels, 255);
  }
  space.render = [shape, number](const std::uint8_t* original, const std::int16_t* x, std::uint8_t* image) {
    std::memcpy(image, original, shape.size());
    for (std::int32_t i = 0; i < number; ++i, x += 2 + shape.channels) {
      std::uint8_t* pixel =
          image + (static_cast<std::size_t>(x[0]) * shape.width + static_cast<std::size_t>(x[1])) * shape.channels;
      for (std::uint32_t channel = 0; channel < shape.channels; ++channel) {
        pixel[channel] = static_cast<std::uint8_t>(x[2 + channel]);
      }
    }
  };
  return space;
}

}  // namespace dfa::spaces
