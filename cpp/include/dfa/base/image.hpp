#pragma once

#include <cstddef>
#include <cstdint>

namespace dfa {

/// Height, width and channels of an image stored as uint8 in (row, column, channel) order.
struct ImageShape {
  std::uint32_t height = 0;
  std::uint32_t width = 0;
  std::uint32_t channels = 0;

  std::size_t size() const { return std::size_t{height} * width * channels; }
  bool operator==(const ImageShape& other) const {
    return height == other.height && width == other.width && channels == other.channels;
  }

  template <typename Self, typename State>
  static void describe(Self& self, State& state) {
    state.field(self.height);
    state.field(self.width);
    state.field(self.channels);
  }
};

/// Throws std::invalid_argument where images of this shape hold no value, or more than 31 bits can number.
void validate(const ImageShape& shape);

}  // namespace dfa
