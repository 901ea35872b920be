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

/// A texture over the whole image, all channels alike: as it is, or turned over.
struct TexturedStart {
  Texture texture;
  bool is_turned;
};

/// Networks differ in what unsettles them, coarse or fine, across or along; a start costs one query, and the best one
/// is what windows go on from. Who knows nothing tries them in this order. The last six are for searches that can tell
/// which are worth asking. (Where an image has at most 8 rows and columns some of them are alike.)
constexpr std::array<TexturedStart, 18> kTexturedStarts{{{{Weave::kColumns, 1}, false},
                                                         {{Weave::kRows, 2}, false},
                                                         {{Weave::kChecks, 1}, false},
                                                         {{Weave::kRows, 8}, false},
                                                         {{Weave::kChecks, 2}, false},
                                                         {{Weave::kChecks, 8}, false},
                                                         {{Weave::kColumns, 1}, true},
                                                         {{Weave::kRows, 2}, true},
                                                         {{Weave::kChecks, 1}, true},
                                                         {{Weave::kRows, 8}, true},
                                                         {{Weave::kChecks, 2}, true},
                                                         {{Weave::kChecks, 8}, true},
                                                         {{Weave::kRows, 4}, false},
                                                         {{Weave::kRows, 1}, false},
                                                         {{Weave::kColumns, 4}, false},
                                                         {{Weave::kRows, 4}, true},
                                                         {{Weave::kRows, 1}, true},
                                                         {{Weave::kColumns, 4}, true}}};
constexpr std::size_t kNumTexturedStarts = kTexturedStarts.size();

/// The number of the same texture the other way round.
std::uint32_t turned_over(std::uint32_t textured_start);

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
