#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "dfa/base/image.hpp"
#include "dfa/base/random.hpp"

namespace dfa {

/// Settings of a space, by name.
using Parameters = std::map<std::string, std::int32_t>;

/// One of them. Throws std::invalid_argument where it is missing or not in low..high.
std::int32_t parameter(const Parameters& parameters, const std::string& name, std::int32_t low, std::int32_t high);

/// An end of an interval that depends on the image. Throws std::invalid_argument where it is beyond 16 bits.
std::int16_t interval_end(std::int64_t value);

/// Writes the image that x stands for. Called by several threads at a time.
using Renderer = std::function<void(const std::uint8_t* original, const std::int16_t* x, std::uint8_t* image)>;

/// How a space draws its vectors itself, where what an image changes by is several integers together: a pixel is a
/// place and a colour. Both are called by several threads at a time.
struct OwnMoves {
  /// Draws a whole vector.
  std::function<void(const std::uint8_t* original, std::int16_t* x, Stream& stream)> start;
  /// Draws a part of one anew, a share in (0, 1] of what can be, and one thing at the least.
  std::function<void(const std::uint8_t* original, std::int16_t* x, double share, Stream& stream)> move;
};

/// What the file of a space says: an interval for every integer of x, and how x becomes an image.
struct SpaceDefinition {
  std::vector<std::int16_t> low;
  std::vector<std::int16_t> high;
  Renderer render;
  OwnMoves moves;                   ///< empty where the space has none
  bool takes_any_interval = false;  ///< whether a caller may set others than lie within these
};

/// A box of integer vectors that do not lie on the pixels of an image, as a perturbation does, but stand for one
/// through a renderer. Shared by all images of a shape.
class Box {
 public:
  Box() = default;  ///< one to be read from a state
  /// Throws std::invalid_argument where no space is called `kind`, or it refuses a parameter or the shape.
  Box(const std::string& kind, const ImageShape& shape, const Parameters& parameters);
  /// With intervals of the caller's, as many as the space has, which must lie within its own unless it takes any.
  Box(const std::string& kind, const ImageShape& shape, const Parameters& parameters, std::vector<std::int16_t> low,
      std::vector<std::int16_t> high);

  const std::string& kind() const { return kind_; }
  const Parameters& parameters() const { return parameters_; }
  const ImageShape& shape() const { return shape_; }
  const std::vector<std::int16_t>& low() const { return low_; }
  const std::vector<std::int16_t>& high() const { return high_; }
  /// Ascending coordinates whose interval holds more than one value.
  const std::vector<std::uint32_t>& free() const { return free_; }
  /// Largest magnitude that x can hold.
  std::int32_t largest() const { return largest_; }
  void render(const std::uint8_t* original, const std::int16_t* x, std::uint8_t* image) const {
    render_(original, x, image);
  }

  /// How the space draws its vectors itself; null where it does not, or where its intervals are a caller's.
  const OwnMoves* moves() const { return moves_.move ? &moves_ : nullptr; }

  template <typename Self, typename State>
  static void describe(Self& self, State& state) {
    state.field(self.kind_);
    state.field(self.parameters_);
    state.field(self.low_);
    state.field(self.high_);
  }
  /// The box for images of this shape that has been read. Throws std::invalid_argument where there is none.
  Box restored(const ImageShape& shape) const { return {kind_, shape, parameters_, low_, high_}; }

 private:
  Box(const std::string& kind, const ImageShape& shape, const Parameters& parameters, SpaceDefinition definition);

  std::string kind_;
  Parameters parameters_;
  ImageShape shape_;
  std::vector<std::int16_t> low_;
  std::vector<std::int16_t> high_;
  Renderer render_;
  OwnMoves moves_;
  std::vector<std::uint32_t> free_;
  std::int32_t largest_ = 0;
};

/// A space of src/space/kinds, which the build finds by its file's name.
struct SpaceKind {
  const char* name;
  SpaceDefinition (*define)(const ImageShape& shape, const Parameters& parameters);
};

/// All of them.
const std::vector<SpaceKind>& space_kinds();

}  // namespace dfa
