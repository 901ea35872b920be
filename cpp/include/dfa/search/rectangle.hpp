#pragma once

#include <cstdint>
#include <vector>

#include "dfa/space/perturbation.hpp"
#include "dfa/space/signs.hpp"
#include "dfa/space/space.hpp"

namespace dfa {

/// A rectangle of the image, all channels, in which every coordinate takes an end of its bounds. It stands for as many
/// edits as it has free coordinates, and costs a row's choices and a turn per row.
struct Rectangle {
  std::uint32_t first = 0;   ///< coordinate of its top left corner
  std::uint32_t height = 0;  ///< in rows; 0: there is no rectangle
  std::uint32_t length = 0;  ///< coordinates in one of its rows
  std::uint32_t stride = 0;  ///< coordinates in a row of the image
  /// One row's choices, which all rows share, or those of every row: 0xff where the upper end is taken, 0 where the
  /// lower one.
  std::vector<std::uint8_t> picks_high;
  /// Per row 0xff where those choices are turned over, else 0; empty: nowhere.
  std::vector<std::uint8_t> row_turns;

  bool is_empty() const { return height == 0; }
  /// Coordinate at which its row starts.
  std::uint32_t start(std::uint32_t row) const { return first + row * stride; }
  /// Where the row's choices begin.
  std::size_t choices(std::uint32_t row) const {
    return picks_high.size() > length ? std::size_t{row} * length : std::size_t{0};
  }
  std::uint8_t turn(std::uint32_t row) const { return row_turns.empty() ? std::uint8_t{0} : row_turns[row]; }
  /// Value at the coordinate that lies `column` coordinates into a row.
  std::int32_t value(const Space& space, std::uint32_t row, std::uint32_t column) const {
    const Bounds bounds = space.bounds(start(row) + column);
    return picks_high[choices(row) + column] != turn(row) ? bounds.high : bounds.low;
  }

  /// Writes the pixels of one row, `length` bytes.
  void paint_row(const Space& space, std::uint32_t row, std::uint8_t* pixels) const;
  /// Paints it into a whole image.
  void paint(const Space& space, std::uint8_t* image) const;
  /// Writes its values into a whole vector, and paints it into the image that shows the vector.
  void write(const Space& space, DenseVector& vector, std::uint8_t* image) const;
  /// The same as edits on a base.
  Edits edits(const Space& space, const DenseVector& base) const;
};

/// The rectangle of rows top..top+height-1 and columns left..left+width-1; a row's choices are yet to be set.
void place(const ImageShape& shape, std::uint32_t top, std::uint32_t left, std::uint32_t height, std::uint32_t width,
           Rectangle& rectangle);

/// Fills a placed rectangle with what signs say of its coordinates.
void take(const Signs& signs, Rectangle& rectangle);

/// Whether a vector, and the image that shows it, hold the rectangle already. The first row that differs ends it.
bool holds(const Space& space, const DenseVector& vector, const std::uint8_t* image, const Rectangle& rectangle,
           std::vector<std::uint8_t>& scratch);

}  // namespace dfa
