#pragma once

#include <cstdint>

#include "dfa/base/random.hpp"

namespace dfa {

/// Draws a corner of the colour cube: 0 or 255 for each channel.
inline void draw_corner(Stream& stream, std::uint32_t channels, std::int16_t* colour) {
  for (std::uint32_t channel = 0; channel < channels; ++channel) {
    colour[channel] = stream.below(2) != 0 ? 255 : 0;
  }
}

}  // namespace dfa
