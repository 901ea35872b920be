#pragma once

#include <array>
#include <cstdint>

#include "dfa/base/image.hpp"
#include "dfa/search/plan.hpp"
#include "dfa/space/signs.hpp"
#include "dfa/space/space.hpp"

namespace dfa {

/// What all turns of the walk on one image read.
struct RayContext {
  const ImageShape& shape;
  const Space& space;  ///< a ball
  const Plan& plan;    ///< whose starts are the first directions
};

/// The parts of an image that are turned over one after another: tiles, all channels together, of halved sides, or
/// blocks, of halved length, of its values channel by channel.
struct Parting {
  bool has_blocks;
  std::uint32_t level;  ///< as many parts as 2 to this power, where the image can be halved so often

  std::uint32_t num_parts(const ImageShape& shape) const;
};

/// A search along directions of an image, signs per coordinate, where an answer is yes or no: whether the label that
/// counts is seen so far along one. It keeps the direction on which that is nearest, and looks whether another one
/// shows it a little nearer: first the starts, then the best with one part of the image turned over, parts halving over
/// time. Only on a yes is more asked of a direction: ever longer strides towards the ball, then bisection.
///
/// Parts are tiles, all channels together, or blocks, stretches of one channel after the other, mostly rows of it. A
/// walk descends from the starts; then, from far off again, from the direction that raises every coordinate; and goes
/// on from the nearer of both.
///
/// A reach is a real number of radii in units of 1/kWhole: at kWhole an image lies at the ends of the ball, beyond it
/// outside. In between, coordinates are rounded up or down by a dither of their own that never changes, so that an
/// image moves by fractions of a grey level and a longer reach never moves a coordinate back.
///
/// Source: RayS (Chen and Gu, KDD 2020). Theirs are blocks alone, a whole bisection on each yes, one descent, from the
/// direction that raises every coordinate, and no dither.
class RayWalk {
 public:
  static constexpr std::uint32_t kWhole = 1U << 16U;

  /// The direction that is asked next, and how far along it.
  Signs direction(const RayContext& context) const;
  std::uint32_t reach(const Space& space) const;
  /// Writes the image there.
  void render(const RayContext& context, std::uint8_t* image) const;
  /// Takes the answer.
  void tell(const RayContext& context, bool is_seen);

  template <typename Self, typename State>
  static void describe(Self& self, State& state) {
    state.field(self.signs_);
    state.field(self.nearest_);
    state.field(self.other_signs_);
    state.field(self.other_nearest_);
    state.field(self.descent_);
    state.field(self.num_starts_);
    state.field(self.round_);
    state.field(self.part_);
    state.field(self.stage_);
    state.field(self.low_);
    state.field(self.stride_);
  }
  /// Throws std::invalid_argument where what has been read is no walk.
  void check(const RayContext& context) const;

 private:
  enum class Stage : std::uint8_t { kLook, kStride, kBisect };
  friend constexpr std::array<const char*, 3> names_of(Stage) { return {"look", "stride", "bisect"}; }

  /// From the starts, from plain signs, and from the nearer of what these came to.
  enum class Descent : std::uint8_t { kStarts, kPlain, kNearer };
  friend constexpr std::array<const char*, 3> names_of(Descent) { return {"starts", "plain", "nearer"}; }

  std::size_t num_starts(const RayContext& context) const;
  bool is_at_start(const RayContext& context) const { return num_starts_ < num_starts(context); }
  Signs start(const RayContext& context, std::uint32_t which) const;
  /// Rounds of a descent, each through all parts of a kind and size.
  std::uint32_t num_rounds(const ImageShape& shape) const;
  Parting parting() const;
  /// By how much a direction must be nearer.
  std::uint32_t shortening(const Space& space) const;
  /// Goes on with another direction where this one is settled well enough.
  void go_on(const RayContext& context);
  void next_direction(const RayContext& context);
  void next_part(const RayContext& context);
  void next_descent();

  Signs signs_;                      // the best direction of this descent; empty before there is one
  std::uint32_t nearest_ = 0;        // reach at which its label was seen; 0: at none
  Signs other_signs_;                // the same of the first descent, during the second
  std::uint32_t other_nearest_ = 0;  //
  Descent descent_ = Descent::kStarts;
  std::uint32_t num_starts_ = 0;  // of this descent, looked at
  std::uint32_t round_ = 0;
  std::uint32_t part_ = 0;
  Stage stage_ = Stage::kLook;
  std::uint32_t low_ = 0;     // longest reach at which the best direction is known not to show it; 0: at none
  std::uint32_t stride_ = 0;  // of Stage::kStride
};

}  // namespace dfa
