#include "dfa/search/rectangle.hpp"

#include <algorithm>
#include <cstddef>
#include <cstring>

namespace dfa {
namespace {

// Pixels of the ends of the bounds, in 8 bits throughout: min(up, 255 - d) is how far up a pixel can go. What the
// domain is does not matter, since beyond its ends both render alike.
template <typename RadiusAt>
void paint_ends(const std::uint8_t* original, const std::uint8_t* picks_high, std::uint8_t turn, RadiusAt radius_at,
                std::size_t n, std::uint8_t* pixels) {
  for (std::size_t i = 0; i < n; ++i) {
    const std::uint8_t radius = radius_at(i);
    const auto is_high = static_cast<std::uint8_t>(picks_high[i] ^ turn);
    const auto up = static_cast<std::uint8_t>(radius & is_high);
    const auto down = static_cast<std::uint8_t>(radius & ~is_high);
    const auto raised = static_cast<std::uint8_t>(original[i] + std::min(up, static_cast<std::uint8_t>(~original[i])));
    pixels[i] = static_cast<std::uint8_t>(raised - std::min(down, raised));
  }
}

}  // namespace

void Rectangle::paint_row(const Space& space, std::uint32_t row, std::uint8_t* pixels) const {
  const std::uint8_t* original = space.original().data() + start(row);
  const std::uint8_t* picks = picks_high.data() + choices(row);
  if (space.radii() != nullptr) {
    const std::uint8_t* radii = space.radii()->radii.data() + start(row);
    paint_ends(original, picks, turn(row), [radii](std::size_t i) { return radii[i]; }, length, pixels);
  } else {
    const std::uint8_t radius = space.radius();
    paint_ends(original, picks, turn(row), [radius](std::size_t) { return radius; }, length, pixels);
  }
}

void Rectangle::paint(const Space& space, std::uint8_t* image) const {
  for (std::uint32_t row = 0; row < height; ++row) {
    paint_row(space, row, image + start(row));
  }
}

void Rectangle::write(const Space& space, DenseVector& vector, std::uint8_t* image) const {
  paint(space, image);
  if (space.domain() == Domain::kValid) {
    // There nothing is clamped, and pixels tell the values, a row at a time.
    for (std::uint32_t row = 0; row < height; ++row) {
      vector.set_differences(start(row), image + start(row), space.original().data() + start(row), length);
    }
    return;
  }
  for (std::uint32_t row = 0; row < height; ++row) {
    for (std::uint32_t column = 0; column < length; ++column) {
      const std::uint32_t p = start(row) + column;
      vector.set(p, value(space, row, column));
    }
  }
}

Edits Rectangle::edits(const Space& space, const DenseVector& base) const {
  Edits result;
  result.reserve(std::size_t{height} * length);
  for (std::uint32_t row = 0; row < height; ++row) {
    for (std::uint32_t column = 0; column < length; ++column) {
      const std::uint32_t p = start(row) + column;
      const std::int32_t base_value = base[p];
      const std::int32_t own = value(space, row, column);
      result.push_back({p, static_cast<std::int16_t>(own), static_cast<std::int16_t>(base_value), space.pixel(p, own),
                        space.pixel(p, base_value)});
    }
  }
  return result;
}

void place(const ImageShape& shape, std::uint32_t top, std::uint32_t left, std::uint32_t height, std::uint32_t width,
           Rectangle& rectangle) {
  rectangle.first = (top * shape.width + left) * shape.channels;
  rectangle.height = height;
  rectangle.length = width * shape.channels;
  rectangle.stride = shape.width * shape.channels;
  rectangle.picks_high.resize(rectangle.length);
  rectangle.row_turns.clear();
}

void take(const Signs& signs, Rectangle& rectangle) {
  rectangle.picks_high.resize(std::size_t{rectangle.height} * rectangle.length);
  rectangle.row_turns.clear();
  std::uint8_t* picks = rectangle.picks_high.data();
  for (std::uint32_t row = 0; row < rectangle.height; ++row) {
    const std::uint32_t first = rectangle.start(row);
    for (std::uint32_t p = first; p < first + rectangle.length; ++p) {
      *picks++ = is_raised(signs, p) ? 0xff : 0;
    }
  }
}

bool holds(const Space& space, const DenseVector& vector, const std::uint8_t* image, const Rectangle& rectangle,
           std::vector<std::uint8_t>& scratch) {
  scratch.resize(rectangle.length);
  for (std::uint32_t row = 0; row < rectangle.height; ++row) {
    rectangle.paint_row(space, row, scratch.data());
    if (std::memcmp(scratch.data(), image + rectangle.start(row), rectangle.length) != 0) {
      return false;
    }
  }
  if (space.domain() == Domain::kValid) {
    return true;  // there no two vectors render alike
  }
  for (std::uint32_t row = 0; row < rectangle.height; ++row) {
    for (std::uint32_t column = 0; column < rectangle.length; ++column) {
      const std::uint32_t p = rectangle.start(row) + column;
      if (vector[p] != rectangle.value(space, row, column)) {
        return false;
      }
    }
  }
  return true;
}

}  // namespace dfa
