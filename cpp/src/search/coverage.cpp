#include "dfa/search/coverage.hpp"

#include <algorithm>
#include <cmath>

namespace dfa {
namespace {

// The cell of n along a line of `length` pixels that a pixel lies in.
std::uint32_t cell_of(std::uint32_t pixel, std::uint32_t length, std::uint32_t n) {
  return static_cast<std::uint32_t>(((std::uint64_t{pixel} + 1) * n - 1) / length);
}

// Pixels that a cell and [first, first + side) have in common.
std::uint32_t overlap(std::uint32_t begin, std::uint32_t end, std::uint32_t first, std::uint32_t side) {
  return std::min(end, first + side) - std::max(begin, first);
}

}  // namespace

Coverage::Coverage(const ImageShape& shape)
    : height_(shape.height),
      width_(shape.width),
      rows_(std::min(shape.height, kGrid)),
      columns_(std::min(shape.width, kGrid)),
      row_begins_(begins(height_, rows_)),
      column_begins_(begins(width_, columns_)),
      cells_(std::size_t{rows_} * columns_, 0.0) {}

Coverage::Begins Coverage::begins(std::uint32_t length, std::uint32_t n) {
  Begins begins{};
  for (std::uint32_t cell = 0; cell <= n; ++cell) {
    begins[cell] = static_cast<std::uint32_t>(std::uint64_t{cell} * length / n);
  }
  return begins;
}

// Calls visit(cell, pixels in common with the window, pixels of the cell) for the cells under a window, row by row.
template <typename Visit>
void Coverage::visit(std::uint32_t top, std::uint32_t left, std::uint32_t side, Visit&& visit) const {
  const std::uint32_t last_row = cell_of(top + side - 1, height_, rows_);
  const std::uint32_t first_column = cell_of(left, width_, columns_);
  const std::uint32_t last_column = cell_of(left + side - 1, width_, columns_);
  for (std::uint32_t row = cell_of(top, height_, rows_); row <= last_row; ++row) {
    const std::uint32_t up = row_begins_[row];
    const std::uint32_t down = row_begins_[row + 1];
    const std::uint32_t high = overlap(up, down, top, side);
    for (std::uint32_t column = first_column; column <= last_column; ++column) {
      const std::uint32_t from = column_begins_[column];
      const std::uint32_t to = column_begins_[column + 1];
      const std::uint32_t wide = overlap(from, to, left, side);
      visit(std::size_t{row} * columns_ + column, static_cast<double>(std::uint64_t{high} * wide),
            static_cast<double>(std::uint64_t{down - up} * (to - from)));
    }
  }
}

void Coverage::add(std::uint32_t top, std::uint32_t left, std::uint32_t side) {
  if (side == 0) {
    return;
  }
  visit(top, left, side, [this](std::size_t cell, double common, double all) { cells_[cell] += common / all; });
}

double Coverage::under(std::uint32_t top, std::uint32_t left, std::uint32_t side) const {
  double sum = 0.0;
  visit(top, left, side, [&](std::size_t cell, double common, double) { sum += common * cells_[cell]; });
  return sum;
}

void Coverage::clear() { std::fill(cells_.begin(), cells_.end(), 0.0); }

bool Coverage::holds_counts() const {
  return std::all_of(cells_.begin(), cells_.end(), [](double cell) { return std::isfinite(cell) && cell >= 0.0; });
}

}  // namespace dfa
