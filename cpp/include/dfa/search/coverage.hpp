#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "dfa/space/space.hpp"

namespace dfa {

/// How often windows have lain on each part of an image, kept for cells of a grid of at most kGrid x kGrid.
///
/// Where windows have lain, others bring less: what a place can give was mostly taken. Corners that are drawn uniformly
/// leave the border almost bare, and elsewhere chance piles windows up.
class Coverage {
 public:
  static constexpr std::uint32_t kGrid = 16;

  explicit Coverage(const ImageShape& shape);

  /// Counts a square window whose top left pixel is (top, left), where it lies within the image. Of side 0 there is
  /// none.
  void add(std::uint32_t top, std::uint32_t left, std::uint32_t side);
  /// How often the pixels of such a window have been covered, summed: to compare windows of one size.
  double under(std::uint32_t top, std::uint32_t left, std::uint32_t side) const;
  void clear();

  /// Mean number of windows that each cell's pixels have been covered by, row by row.
  const std::vector<double>& cells() const { return cells_; }

  template <typename Self, typename State>
  static void describe(Self& self, State& state) {
    const std::size_t num_cells = self.cells_.size();
    state.field(self.cells_);
    state.require(self.cells_.size() == num_cells && self.holds_counts(), "a coverage of windows that cannot be");
  }

 private:
  /// Cell i along a line is the pixels [begins[i], begins[i + 1]). Kept, since most of what asking for a window would
  /// take is the divisions.
  using Begins = std::array<std::uint32_t, kGrid + 1>;
  static Begins begins(std::uint32_t length, std::uint32_t n);
  bool holds_counts() const;
  template <typename Visit>
  void visit(std::uint32_t top, std::uint32_t left, std::uint32_t side, Visit&& visit) const;

  std::uint32_t height_;
  std::uint32_t width_;
  std::uint32_t rows_;
  std::uint32_t columns_;
  Begins row_begins_;
  Begins column_begins_;
  std::vector<double> cells_;
};

}  // namespace dfa
