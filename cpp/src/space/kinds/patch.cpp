#include <algorithm>
#include <cmath>
#include <cstring>
#include <vector>

#include "dfa/space/box.hpp"
#include "dfa/space/corners.hpp"

namespace dfa::spaces {
namespace {

// Of so many moves one moves the patch, the others change what it shows (Croce et al. 2022, section 5).
constexpr std::uint32_t kMovesToOnePlace = 5;

struct Patch {
  ImageShape shape;
  std::int32_t size;

  std::int16_t* pixel(std::int16_t* x, std::int32_t row, std::int32_t column) const {
    return x + 2 + static_cast<std::size_t>(row * size + column) * shape.channels;
  }
  // A place within `reach` pixels of the present one, either way.
  void move_place(std::int16_t* x, std::int32_t reach, Stream& stream) const {
    for (std::size_t axis = 0; axis < 2; ++axis) {
      const auto side = static_cast<std::int32_t>(axis == 0 ? shape.height : shape.width);
      const std::int32_t moved = x[axis] + stream.between(-reach, reach);
      x[axis] = static_cast<std::int16_t>(std::clamp(moved, 0, side - size));
    }
  }
  // One colour in a square of the patch.
  void move_content(std::int16_t* x, std::int32_t side, Stream& stream) const {
    const std::int32_t top = stream.between(0, size - side);
    const std::int32_t left = stream.between(0, size - side);
    std::vector<std::int16_t> colour(shape.channels);
    draw_corner(stream, shape.channels, colour.data());
    for (std::int32_t row = top; row < top + side; ++row) {
      for (std::int32_t column = left; column < left + side; ++column) {
        std::copy(colour.begin(), colour.end(), pixel(x, row, column));
      }
    }
  }
};

}  // namespace

/// A square of size x size pixels of any content, anywhere in the image: top, left, and its values, row by row.
///
/// Its own moves are those of Sparse-RS's patches (Croce, Andriushchenko, Singh, Flammarion, Hein, 2022): squares of
/// one corner of the colour cube within the patch, and now and then another place. They differ from it in that the
/// patch begins as vertical stripes.
SpaceDefinition patch(const ImageShape& shape, const Parameters& parameters) {
  const auto largest = static_cast<std::int32_t>(std::min(shape.height, shape.width));
  const Patch patch{shape, parameter(parameters, "size", 1, largest)};
  const std::int32_t size = patch.size;
  const std::size_t length = static_cast<std::size_t>(size) * shape.channels;
  SpaceDefinition space;
  space.low.assign(2 + length * static_cast<std::size_t>(size), 0);
  space.high.assign(space.low.size(), 255);
  space.high[0] = interval_end(std::int64_t{shape.height} - size);
  space.high[1] = interval_end(std::int64_t{shape.width} - size);
  space.render = [shape, size, length](const std::uint8_t* original, const std::int16_t* x, std::uint8_t* image) {
    std::memcpy(image, original, shape.size());
    const std::size_t line = std::size_t{shape.width} * shape.channels;
    std::uint8_t* at = image + static_cast<std::size_t>(x[0]) * line + static_cast<std::size_t>(x[1]) * shape.channels;
    x += 2;
    for (std::int32_t row = 0; row < size; ++row, at += line, x += length) {
      std::transform(x, x + length, at, [](std::int16_t value) { return static_cast<std::uint8_t>(value); });
    }
  };
  space.moves.start = [patch](const std::uint8_t*, std::int16_t* x, Stream& stream) {
    x[0] = static_cast<std::int16_t>(stream.below(patch.shape.height - static_cast<std::uint32_t>(patch.size) + 1));
    x[1] = static_cast<std::int16_t>(stream.below(patch.shape.width - static_cast<std::uint32_t>(patch.size) + 1));
    for (std::int32_t column = 0; column < patch.size; ++column) {
      draw_corner(stream, patch.shape.channels, patch.pixel(x, 0, column));
    }
    for (std::int32_t row = 1; row < patch.size; ++row) {
      std::copy(patch.pixel(x, 0, 0), patch.pixel(x, 1, 0), patch.pixel(x, row, 0));
    }
  };
  space.moves.move = [patch](const std::uint8_t*, std::int16_t* x, double share, Stream& stream) {
    const double root = std::sqrt(share);
    if (stream.below(kMovesToOnePlace) == 0) {
      const double side = std::max(patch.shape.height, patch.shape.width);
      patch.move_place(x, std::max(1, static_cast<std::int32_t>(root * side + 0.5)), stream);
    } else {
      const auto side = static_cast<std::int32_t>(root * patch.size + 0.5);
      patch.move_content(x, std::clamp(side, 1, patch.size), stream);
    }
  };
  return space;
}

}  // namespace dfa::spaces
