#pragma once

#include <array>
#include <cstdint>
#include <vector>

#include "dfa/base/image.hpp"
#include "dfa/space/domain.hpp"
#include "dfa/space/space.hpp"

namespace dfa {

// Each choice stands beside its names, which are what a caller writes.

/// How the search space is refined from positives and negatives (paper, Algorithm 1, line 13).
enum class Region : std::uint8_t {
  kNone,           ///< not at all: plain mutation of a positive
  kOrdered,        ///< RACOS for ordered dimensions, strict cut: no negative stays inside
  kPerCoordinate,  ///< for every changed coordinate, one cut against every negative ("respectively", line 14)
};
constexpr std::array<const char*, 3> names_of(Region) { return {"none", "ordered", "per_coordinate"}; }

/// Which coordinates of the parent change.
enum class Shape : std::uint8_t {
  kScattered,  ///< a uniform set of distinct coordinates
  kWindow,     ///< one square window of the image, all channels
  kRay,        ///< all of them: the image lies on a ray, at any distance, and only whether its label counts matters
  kOwn,        ///< what the space itself moves together, and starts with: OwnMoves
};
constexpr std::array<const char*, 4> names_of(Shape) { return {"scattered", "window", "ray", "own"}; }

/// Which values the changed coordinates take within their bounds.
enum class Values : std::uint8_t {
  kUniform,   ///< uniform integers
  kExtremes,  ///< the lower or the upper bound; in a window one choice per channel
  kTextures,  ///< in a window only: extremes that alternate in a texture, plain or woven as was learned to help
};
constexpr std::array<const char*, 3> names_of(Values) { return {"uniform", "extremes", "textures"}; }

/// How the members of iteration 0 are drawn.
enum class Start : std::uint8_t {
  kUniform,   ///< every coordinate uniform within its bounds
  kStripes,   ///< vertical stripes at the bounds, one choice per column and channel
  kTextures,  ///< rows, columns and checks at the bounds, fine and coarse, one after another
};
constexpr std::array<const char*, 3> names_of(Start) { return {"uniform", "stripes", "textures"}; }

/// Which of two members with the same degree ranks first.
enum class Ties : std::uint8_t { kOlder, kNewer };
constexpr std::array<const char*, 2> names_of(Ties) { return {"older", "newer"}; }

/// Everything that decides a trajectory beside the image, its id, the seed and the degrees.
struct Config {
  std::uint32_t samples = 3;      ///< s, candidates per iteration and number of negatives
  std::uint32_t positives = 2;    ///< k
  std::uint32_t coordinates = 2;  ///< |Y| for Shape::kScattered
  Region region = Region::kOrdered;
  Shape shape = Shape::kScattered;
  Values values = Values::kUniform;
  Start start = Start::kUniform;
  Domain domain = Domain::kBall;
  Ties ties = Ties::kOlder;
  double window_share = 0.1;                   ///< share of the area that the first windows, or own moves, cover
  std::vector<std::uint64_t> window_halvings;  ///< numbers of candidates after the starts at which it halves
  std::uint32_t placements = 1;                ///< places drawn for a window, of which the least covered one is taken
  std::uint32_t starts =
      0;  ///< candidates drawn as starts before any descends from another; 0: s + k, which is the least
  std::uint32_t restart_after = 0;  ///< candidates after the starts at which a descent may first end at rest; 0: never
  double rest_ratio = 0.95;         ///< share of its degree that the second half of a descent at rest has left
  double improvements = 0.0;        ///< wished for per iteration, which decides its windows; 0: always s
  bool prior = false;               ///< candidates may also take signs that the caller gives for their parent

  std::uint32_t population() const { return samples + positives; }
  std::uint32_t num_starts() const { return starts == 0 ? population() : starts; }

  template <typename Self, typename State>
  static void describe(Self& self, State& state) {
    state.field(self.samples);
    state.field(self.positives);
    state.field(self.coordinates);
    state.field(self.region);
    state.field(self.shape);
    state.field(self.values);
    state.field(self.start);
    state.field(self.domain);
    state.field(self.ties);
    state.field(self.window_share);
    state.field(self.window_halvings);
    state.field(self.placements);
    state.field(self.starts);
    state.field(self.restart_after);
    state.field(self.rest_ratio);
    state.field(self.improvements);
    state.field(self.prior);
  }
};

/// Throws std::invalid_argument naming the first field that makes no sense.
void validate(const Config& config);
/// Throws std::invalid_argument where a space of these images cannot be searched so.
void validate(const Config& config, const ImageShape& shape, const Space& space);

}  // namespace dfa
