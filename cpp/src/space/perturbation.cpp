#include "dfa/space/perturbation.hpp"

#include <algorithm>
#include <array>
#include <limits>
#include <stdexcept>
#include <utility>

namespace dfa {
namespace {

template <typename T>
std::uint64_t count_unequal(const std::vector<T>& a, const std::vector<T>& b) {
  // Blocks whose count fits a narrow integer let the compiler compare many values per instruction.
  constexpr std::size_t kBlock = 128;
  std::uint64_t total = 0;
  std::size_t p = 0;
  for (; p + kBlock <= a.size(); p += kBlock) {
    std::uint8_t count = 0;
    for (std::size_t i = 0; i < kBlock; ++i) {
      count = static_cast<std::uint8_t>(count + (a[p + i] != b[p + i] ? 1 : 0));
    }
    total += count;
  }
  for (; p < a.size(); ++p) {
    total += a[p] != b[p] ? 1U : 0U;
  }
  return total;
}

template <typename T>
void render_values(const Space& space, const std::vector<T>& values, std::uint8_t* image) {
  // Bytes of an image may be anything's bytes, so what the loop reads stands in variables of its own: read anew from
  // the vector after every pixel that is written, it would keep compilers from vectorising.
  const std::uint8_t* original = space.original().data();
  const T* value = values.data();
  const std::size_t size = values.size();
  for (std::size_t p = 0; p < size; ++p) {
    const auto sum = static_cast<std::int16_t>(original[p] + value[p]);
    image[p] = static_cast<std::uint8_t>(std::clamp<std::int16_t>(sum, 0, 255));
  }
}

void check_value(const Space& space, std::uint32_t coordinate, std::int32_t value) {
  const Bounds bounds = space.bounds(coordinate);
  if (value < bounds.low || value > bounds.high) {
    throw std::invalid_argument("saved state holds a perturbation outside its bounds");
  }
}

}  // namespace

DenseVector::DenseVector(std::size_t size, std::int32_t largest_magnitude) {
  if (largest_magnitude <= std::numeric_limits<std::int8_t>::max()) {
    narrow_.resize(size);
  } else {
    wide_.resize(size);
  }
}

void DenseVector::set_differences(std::size_t first, const std::uint8_t* pixels, const std::uint8_t* originals,
                                  std::size_t n) {
  // One loop per width, without a branch in it, so that compilers vectorise both.
  if (wide_.empty()) {
    std::int8_t* values = narrow_.data() + first;
    for (std::size_t i = 0; i < n; ++i) {
      values[i] = static_cast<std::int8_t>(pixels[i] - originals[i]);
    }
  } else {
    std::int16_t* values = wide_.data() + first;
    for (std::size_t i = 0; i < n; ++i) {
      values[i] = static_cast<std::int16_t>(pixels[i] - originals[i]);
    }
  }
}

std::uint64_t DenseVector::count_differences(const DenseVector& other) const {
  return wide_.empty() ? count_unequal(narrow_, other.narrow_) : count_unequal(wide_, other.wide_);
}

void DenseVector::render(const Space& space, std::uint8_t* image) const {
  if (wide_.empty()) {
    render_values(space, narrow_, image);
  } else {
    render_values(space, wide_, image);
  }
}

void DenseVector::check(const Space& space) const {
  const DenseVector expected(space.size(), space.largest());
  if (narrow_.size() != expected.narrow_.size() || wide_.size() != expected.wide_.size()) {
    throw std::invalid_argument("saved state holds a perturbation of another size");
  }
  for (std::uint32_t p = 0; p < space.size(); ++p) {
    check_value(space, p, (*this)[p]);
  }
}

void check(const Edits& edits, const Space& space) {
  for (std::size_t i = 0; i < edits.size(); ++i) {
    if (edits[i].coordinate >= space.size()) {
      throw std::invalid_argument("saved state holds a coordinate outside the image");
    }
    check_value(space, edits[i].coordinate, edits[i].value);
    if (i > 0 && edits[i - 1].coordinate >= edits[i].coordinate) {
      throw std::invalid_argument("saved state holds edits out of order");
    }
  }
}

std::int32_t value_at(const DenseVector& base, const Edits& edits, std::uint32_t coordinate) {
  const auto found = std::lower_bound(edits.begin(), edits.end(), coordinate,
                                      [](const Edit& edit, std::uint32_t p) { return edit.coordinate < p; });
  if (found != edits.end() && found->coordinate == coordinate) {
    return found->value;
  }
  return base[coordinate];
}

// The merges below step without branches that depend on the data: which of two random coordinates is smaller cannot be
// predicted, and a wrong guess costs more than a step.

Edits overlay(const Edits& parent, const Edits& child) {
  Edits result(parent.size() + child.size());
  std::size_t i = 0;
  std::size_t j = 0;
  std::size_t n = 0;
  while (i < parent.size() && j < child.size()) {
    const Edit& old = parent[i];
    const Edit& edit = child[j];
    const bool takes_child = edit.coordinate <= old.coordinate;
    result[n] = takes_child ? edit : old;
    n += !takes_child || edit.value != edit.base_value ? 1U : 0U;
    i += old.coordinate <= edit.coordinate ? 1U : 0U;
    j += takes_child ? 1U : 0U;
  }
  for (; i < parent.size(); ++i) {
    result[n++] = parent[i];
  }
  for (; j < child.size(); ++j) {
    result[n] = child[j];
    n += child[j].value != child[j].base_value ? 1U : 0U;
  }
  result.resize(n);
  return result;
}

Edits rebased(const Edits& edits, const Edits& moved) {
  const auto follow = [](const Edit& move) {
    return Edit{move.coordinate, move.base_value, move.value, move.base_pixel, move.pixel};
  };
  Edits result(edits.size() + moved.size());
  std::size_t i = 0;
  std::size_t j = 0;
  std::size_t n = 0;
  while (i < edits.size() && j < moved.size()) {
    const Edit& own = edits[i];
    const Edit& move = moved[j];
    const bool takes_own = own.coordinate <= move.coordinate;
    const bool is_both = own.coordinate == move.coordinate;
    Edit edit = takes_own ? own : follow(move);
    edit.base_value = is_both ? move.value : edit.base_value;
    edit.base_pixel = is_both ? move.pixel : edit.base_pixel;
    result[n] = edit;
    n += edit.value != edit.base_value ? 1U : 0U;
    i += takes_own ? 1U : 0U;
    j += move.coordinate <= own.coordinate ? 1U : 0U;
  }
  for (; i < edits.size(); ++i) {
    result[n++] = edits[i];
  }
  for (; j < moved.size(); ++j) {
    result[n++] = follow(moved[j]);
  }
  result.resize(n);
  return result;
}

std::vector<Departure> departures(const Edits& a, const Edits& b) {
  std::vector<Departure> result(a.size() + b.size());
  std::size_t i = 0;
  std::size_t j = 0;
  std::size_t n = 0;
  while (i < a.size() && j < b.size()) {
    const Edit& edit_a = a[i];
    const Edit& edit_b = b[j];
    const bool takes_a = edit_a.coordinate <= edit_b.coordinate;
    const bool takes_b = edit_b.coordinate <= edit_a.coordinate;
    const Edit& edit = takes_a ? edit_a : edit_b;
    result[n] = {edit.coordinate, takes_a ? edit_a.value : edit.base_value, takes_b ? edit_b.value : edit.base_value};
    n += result[n].value_a != result[n].value_b ? 1U : 0U;
    i += takes_a ? 1U : 0U;
    j += takes_b ? 1U : 0U;
  }
  for (; i < a.size(); ++i) {
    result[n++] = {a[i].coordinate, a[i].value, a[i].base_value};
  }
  for (; j < b.size(); ++j) {
    result[n++] = {b[j].coordinate, b[j].base_value, b[j].value};
  }
  result.resize(n);
  return result;
}

void sort_by_coordinate(Edits& edits, Edits& scratch, std::size_t size) {
  // Coordinates are drawn evenly, unless a mask gathers them, so about one falls into each of as many equal buckets;
  // what is left to do is a few swaps of neighbours.
  constexpr std::uint32_t kMostBucketBits = 12;
  constexpr std::uint32_t kMostInBucket = 64;
  std::uint32_t bucket_bits = 1;
  while (bucket_bits < kMostBucketBits && (std::size_t{1} << bucket_bits) < edits.size()) {
    ++bucket_bits;
  }
  std::uint32_t shift = 0;
  while (((size - 1) >> shift) >= (std::size_t{1} << bucket_bits)) {
    ++shift;
  }
  std::array<std::uint32_t, std::size_t{1} << kMostBucketBits> position;
  const std::size_t num_buckets = ((size - 1) >> shift) + 1;
  std::fill_n(position.begin(), num_buckets, 0U);
  for (const Edit& edit : edits) {
    ++position[edit.coordinate >> shift];
  }
  std::uint32_t sum = 0;
  std::uint32_t fullest = 0;
  for (std::size_t bucket = 0; bucket < num_buckets; ++bucket) {
    const std::uint32_t count = std::exchange(position[bucket], sum);
    sum += count;
    fullest = std::max(fullest, count);
  }
  if (fullest > kMostInBucket) {
    std::sort(edits.begin(), edits.end(), [](const Edit& a, const Edit& b) { return a.coordinate < b.coordinate; });
    return;
  }
  scratch.resize(edits.size());
  for (const Edit& edit : edits) {
    scratch[position[edit.coordinate >> shift]++] = edit;
  }
  edits.swap(scratch);
  for (std::size_t i = 1; i < edits.size(); ++i) {
    const Edit edit = edits[i];
    std::size_t place = i;
    for (; place > 0 && edits[place - 1].coordinate > edit.coordinate; --place) {
      edits[place] = edits[place - 1];
    }
    edits[place] = edit;
  }
}

}  // namespace dfa
