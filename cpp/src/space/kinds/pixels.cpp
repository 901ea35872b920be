#include <algorithm>
#include <cmath>
#include <cstring>
#include <numeric>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include "dfa/space/box.hpp"
#include "dfa/space/corners.hpp"

namespace dfa::spaces {
namespace {

// Places drawn for a pixel, of which the first is taken that no other holds: where pixels are many, none may be free.
constexpr int kMaxAttempts = 16;
// Rows and columns, either way, between a pixel and the one that it is placed beside.
constexpr std::int32_t kNear = 2;

// Draws pixels of a vector anew: a place that none holds, and a corner of the colour cube that is not there already.
class Painter {
 public:
  Painter(const ImageShape& shape, const std::uint8_t* original, std::int16_t* x, Stream& stream)
      : shape_(shape), original_(original), x_(x), stream_(stream), is_taken_(shape.size() / shape.channels) {}

  void take(std::uint32_t pixel) {
    const std::int16_t* at = this->at(pixel);
    is_taken_[place(at[0], at[1])] = true;
  }
  // Every second place is drawn beside one of the first `placed` pixels, where there are any.
  void draw(std::uint32_t pixel, std::uint32_t placed) {
    std::pair<std::int32_t, std::int32_t> drawn;
    for (int attempt = 0; attempt < kMaxAttempts; ++attempt) {
      drawn = placed > 0 && stream_.below(2) != 0 ? beside(stream_.below(placed)) : anywhere();
      if (!is_taken_[place(drawn.first, drawn.second)]) {
        break;
      }
    }
    std::int16_t* at = this->at(pixel);
    at[0] = static_cast<std::int16_t>(drawn.first);
    at[1] = static_cast<std::int16_t>(drawn.second);
    take(pixel);
    colour(original_ + place(drawn.first, drawn.second) * shape_.channels, at + 2);
  }

 private:
  std::int16_t* at(std::uint32_t pixel) { return x_ + std::size_t{pixel} * (2 + shape_.channels); }
  std::size_t place(std::int32_t row, std::int32_t column) const {
    return static_cast<std::size_t>(row) * shape_.width + static_cast<std::size_t>(column);
  }
  std::pair<std::int32_t, std::int32_t> anywhere() {
    const std::uint32_t drawn = stream_.below(shape_.height * shape_.width);
    return {static_cast<std::int32_t>(drawn / shape_.width), static_cast<std::int32_t>(drawn % shape_.width)};
  }
  std::pair<std::int32_t, std::int32_t> beside(std::uint32_t pixel) {
    const std::int16_t* other = at(pixel);
    const std::int32_t row = other[0] + stream_.between(-kNear, kNear);
    const std::int32_t column = other[1] + stream_.between(-kNear, kNear);
    return {std::clamp(row, 0, static_cast<std::int32_t>(shape_.height) - 1),
            std::clamp(column, 0, static_cast<std::int32_t>(shape_.width) - 1)};
  }
  void colour(const std::uint8_t* there, std::int16_t* drawn) {
    draw_corner(stream_, shape_.channels, drawn);
    if (std::equal(there, there + shape_.channels, drawn)) {
      std::int16_t& turned = drawn[stream_.below(shape_.channels)];
      turned = static_cast<std::int16_t>(255 - turned);
    }
  }

  const ImageShape& shape_;
  const std::uint8_t* original_;
  std::int16_t* x_;
  Stream& stream_;
  std::vector<bool> is_taken_;
};

}  // namespace

/// Few pixels: row, column and colour of each of `number` pixels, which replace those of the image, the last one where
/// two fall on one place (Su, Vargas, Sakurai, One pixel attack for fooling deep neural networks, 2019).
///
/// Its own moves draw place and colour of some pixels together, after Croce, Andriushchenko, Singh, Flammarion, Hein,
/// Sparse-RS, 2022: places differ, colours are corners of the colour cube. They differ from it in that no colour is
/// what the image has there, and in that every second pixel goes beside another: what is to be changed lies together.
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
  const auto count = static_cast<std::uint32_t>(number);
  space.moves.start = [shape, count](const std::uint8_t* original, std::int16_t* x, Stream& stream) {
    Painter painter(shape, original, x, stream);
    for (std::uint32_t i = 0; i < count; ++i) {
      painter.draw(i, 0);
    }
  };
  space.moves.move = [shape, count](const std::uint8_t* original, std::int16_t* x, double share, Stream& stream) {
    Painter painter(shape, original, x, stream);
    std::vector<std::uint32_t> order(count);
    std::iota(order.begin(), order.end(), 0U);
    for (std::uint32_t i = 0; i < count; ++i) {
      painter.take(i);
    }
    const auto moved = static_cast<std::uint32_t>(std::floor(share * count + 0.5));
    for (std::uint32_t i = 0; i < std::clamp(moved, 1U, count); ++i) {
      std::swap(order[i], order[i + stream.below(count - i)]);
      painter.draw(order[i], count);
    }
  };
  return space;
}

}  // namespace dfa::spaces
