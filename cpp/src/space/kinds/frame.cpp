#include <algorithm>
#include <cmath>
#include <cstring>
#include <vector>

#include "dfa/space/box.hpp"
#include "dfa/space/corners.hpp"

namespace dfa::spaces {

/// A border of `width` pixels of any content around the image: its values, row by row.
///
/// Its own moves are those of Sparse-RS's frames (Croce, Andriushchenko, Singh, Flammarion, Hein, 2022): one corner of
/// the colour cube for what of the frame lies in a square. They differ from it in that the frame begins as vertical
/// stripes.
SpaceDefinition frame(const ImageShape& shape, const Parameters& parameters) {
  const auto height = static_cast<std::int32_t>(shape.height);
  const auto columns = static_cast<std::int32_t>(shape.width);
  const std::int32_t width = parameter(parameters, "width", 1, std::max(1, std::min(height, columns) / 2));
  struct Place {
    std::int32_t row;
    std::int32_t column;
  };
  std::vector<Place> places;
  for (std::int32_t row = 0; row < height; ++row) {
    const bool is_whole = std::min(row, height - 1 - row) < width;
    for (std::int32_t column = 0; column < columns; ++column) {
      if (column == width && !is_whole) {
        column = std::max(column, columns - width);  // what lies within the frame
      }
      places.push_back({row, column});
    }
  }
  SpaceDefinition space;
  space.low.assign(places.size() * shape.channels, 0);
  space.high.assign(space.low.size(), 255);
  space.render = [shape, places](const std::uint8_t* original, const std::int16_t* x, std::uint8_t* image) {
    std::memcpy(image, original, shape.size());
    for (const Place& place : places) {
      std::uint8_t* at =
          image +
          (static_cast<std::size_t>(place.row) * shape.width + static_cast<std::size_t>(place.column)) * shape.channels;
      for (std::uint32_t channel = 0; channel < shape.channels; ++channel) {
        *at++ = static_cast<std::uint8_t>(*x++);
      }
    }
  };
  space.moves.start = [shape, places](const std::uint8_t*, std::int16_t* x, Stream& stream) {
    std::vector<std::int16_t> stripes(std::size_t{shape.width} * shape.channels);
    draw_corner(stream, static_cast<std::uint32_t>(stripes.size()), stripes.data());
    for (const Place& place : places) {
      const std::int16_t* stripe = stripes.data() + static_cast<std::size_t>(place.column) * shape.channels;
      x = std::copy(stripe, stripe + shape.channels, x);
    }
  };
  space.moves.move = [shape, places, width](const std::uint8_t*, std::int16_t* x, double share, Stream& stream) {
    // The square lies around a pixel of the frame, so that a side longer than the frame is wide is cut to its width.
    const double area = share * static_cast<double>(places.size());
    const double side = std::max(1.0, std::floor(std::max(std::min(std::sqrt(area), 1.0 * width), area / width) + 0.5));
    const Place middle = places[stream.below(static_cast<std::uint32_t>(places.size()))];
    const double top = middle.row - std::floor(side / 2);
    const double left = middle.column - std::floor(side / 2);
    std::vector<std::int16_t> colour(shape.channels);
    draw_corner(stream, shape.channels, colour.data());
    for (const Place& place : places) {
      if (place.row >= top && place.row < top + side && place.column >= left && place.column < left + side) {
        std::copy(colour.begin(), colour.end(), x);
      }
      x += shape.channels;
    }
  };
  return space;
}

}  // namespace dfa::spaces
