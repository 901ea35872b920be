#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "dfa/search/rectangle.hpp"
#include "dfa/space/space.hpp"

namespace dfa {

/// How the two ends of the bounds alternate over a rectangle, at absolute rows and columns of the image.
enum class Weave : std::uint8_t { kPlain, kColumns, kRows, kChecks };

struct Texture {
  Weave weave;
  std::uint32_t period;  ///< rows or columns of one kind side by side
};

/// Textures of a start, tried in this order with all channels alike, then again turned over. Networks differ in what
/// unsettles them, coarse or fine, across or along; a start costs one query, and the best one is what windows go on
/// from. (Where an image has at most 8 rows and columns two of them are alike, which costs two queries.)
constexpr std::array<Texture, 6> kStartTextures{{{Weave::kColumns, 1},
                                                 {Weave::kRows, 2},
                                                 {Weave::kChecks, 1},
                                                 {Weave::kRows, 8},
                                                 {Weave::kChecks, 2},
                                                 {Weave::kChecks, 8}}};
constexpr std::size_t kNumTexturedStarts = 2 * kStartTextures.size();

/// Textures of a window beside the plain one.
constexpr std::array<Texture, 9> kWindowTextures{{{Weave::kChecks, 1},
                                                  {Weave::kColumns, 1},
                                                  {Weave::kRows, 1},
                                                  {Weave::kChecks, 2},
                                                  {Weave::kColumns, 2},
                                                  {Weave::kRows, 2},
                                                  {Weave::kChecks, 4},
                                                  {Weave::kColumns, 4},
                                                  {Weave::kRows, 4}}};

/// Fills a placed rectangle, whose top left pixel is (top, left). `channels` holds 0xff for each channel that takes the
/// upper end where the texture is high (everywhere, if it is plain), 0 where the lower one.
void weave(const Texture& texture, std::uint32_t top, std::uint32_t left, const std::vector<std::uint8_t>& channels,
           Rectangle& rectangle);

}  // namespace dfa
