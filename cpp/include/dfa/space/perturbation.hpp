#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "dfa/space/space.hpp"

namespace dfa {

/// A whole perturbation vector, one byte per value where all of them fit, else two.
class DenseVector {
 public:
  DenseVector() = default;
  DenseVector(std::size_t size, std::int32_t largest_magnitude);

  std::size_t size() const { return wide_.empty() ? narrow_.size() : wide_.size(); }
  std::int32_t operator[](std::size_t p) const { return wide_.empty() ? narrow_[p] : wide_[p]; }
  void set(std::size_t p, std::int32_t value) {
    if (wide_.empty()) {
      narrow_[p] = static_cast<std::int8_t>(value);
    } else {
      wide_[p] = static_cast<std::int16_t>(value);
    }
  }

  /// Takes n values from `first` on as pixels minus originals.
  void set_differences(std::size_t first, const std::uint8_t* pixels, const std::uint8_t* originals, std::size_t n);

  /// Number of coordinates at which two vectors of the same space differ.
  std::uint64_t count_differences(const DenseVector& other) const;
  /// Writes norm(d + x) for every coordinate.
  void render(const Space& space, std::uint8_t* image) const;

  template <typename Self, typename State>
  static void describe(Self& self, State& state) {
    state.field(self.narrow_);
    state.field(self.wide_);
  }
  /// Throws std::invalid_argument unless what has been read is a vector of the space.
  void check(const Space& space) const;

 private:
  std::vector<std::int8_t> narrow_;
  std::vector<std::int16_t> wide_;
};

/// A coordinate at which a vector departs from its base: the perturbations and pixel values of both. Carrying the
/// base's side keeps selection and region from reading whole vectors, which a window of large images evicts from every
/// cache.
struct Edit {
  std::uint32_t coordinate;
  std::int16_t value;
  std::int16_t base_value;
  std::uint8_t pixel;
  std::uint8_t base_pixel;

  // The rest follows from the base.
  template <typename Self, typename State>
  static void describe(Self& self, State& state) {
    state.field(self.coordinate);
    state.field(self.value);
  }
};

/// Edits with ascending coordinates, each at most once.
using Edits = std::vector<Edit>;

/// Throws std::invalid_argument unless edits that have been read ascend, lie in the space, and stay in its bounds.
void check(const Edits& edits, const Space& space);

/// The value at a coordinate of "base with edits".
std::int32_t value_at(const DenseVector& base, const Edits& edits, std::uint32_t coordinate);

/// Parent's edits overlaid by a child's, without those that equal the base.
Edits overlay(const Edits& parent, const Edits& child);

/// A member's edits on a base that takes the edits `moved`. Where only the base moves, the member keeps what it held as
/// an edit of its own; where it already holds the new value, it loses its edit.
Edits rebased(const Edits& edits, const Edits& moved);

/// A coordinate at which two vectors differ, and what each holds there.
struct Departure {
  std::uint32_t coordinate;
  std::int16_t value_a;
  std::int16_t value_b;
};

/// Where "base with a" and "base with b" differ, ascending. Neither may hold an edit equal to the base.
std::vector<Departure> departures(const Edits& a, const Edits& b);

/// Sorts edits by coordinate in O(n); the coordinates are distinct and below `size`.
void sort_by_coordinate(Edits& edits, Edits& scratch, std::size_t size);

}  // namespace dfa
