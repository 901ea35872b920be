#include "dfa/perturbation.hpp"

#include <algorithm>
#include <array>
#include <limits>

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
void render_values(const Ball& ball, const std::vector<T>& values, std::uint8_t* image) {
  const std::uint8_t* original = ball.original().data();
  for (std::size_t p = 0; p < values.size(); ++p) {
    const auto sum = static_cast<std::int16_t>(original[p] + values[p]);
    image[p] = static_cast<std::uint8_t>(std::clamp<std::int16_t>(sum, 0, 255));
  }
}

constexpr std::size_t kDigitBits = 10;
constexpr std::size_t kDigits = std::size_t{1} << kDigitBits;

void sort_pass(const Edits& from, Edits& to, std::uint32_t shift) {
  std::array<std::uint32_t, kDigits> position{};
  for (const Edit& edit : from) {
    ++position[(edit.coordinate >> shift) & (kDigits - 1)];
  }
  std::uint32_t sum = 0;
  for (std::uint32_t& count : position) {
    const std::uint32_t start = sum;
    sum += count;
    count = start;
  }
  for (const Edit& edit : from) {
    to[position[(edit.coordinate >> shift) & (kDigits - 1)]++] = edit;
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

std::uint64_t DenseVector::count_differences(const DenseVector& other) const {
  return wide_.empty() ? count_unequal(narrow_, other.narrow_) : count_unequal(wide_, other.wide_);
}

void DenseVector::render(const Ball& ball, std::uint8_t* image) const {
  if (wide_.empty()) {
    render_values(ball, narrow_, image);
  } else {
    render_values(ball, wide_, image);
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

Edits overlay(const DenseVector& base, const Edits& parent, const Edits& child) {
  Edits result;
  result.reserve(parent.size() + child.size());
  auto p = parent.begin();
  for (const Edit& edit : child) {
    while (p != parent.end() && p->coordinate < edit.coordinate) {
      result.push_back(*p++);
    }
    if (p != parent.end() && p->coordinate == edit.coordinate) {
      ++p;
    }
    if (base[edit.coordinate] != edit.value) {
      result.push_back(edit);
    }
  }
  result.insert(result.end(), p, parent.end());
  return result;
}

std::vector<std::uint32_t> differences(const Edits& a, const Edits& b) {
  std::vector<std::uint32_t> result;
  result.reserve(a.size() + b.size());
  auto i = a.begin();
  auto j = b.begin();
  while (i != a.end() && j != b.end()) {
    if (i->coordinate < j->coordinate) {
      result.push_back((i++)->coordinate);
    } else if (j->coordinate < i->coordinate) {
      result.push_back((j++)->coordinate);
    } else {
      if (i->value != j->value) {
        result.push_back(i->coordinate);
      }
      ++i;
      ++j;
    }
  }
  for (; i != a.end(); ++i) {
    result.push_back(i->coordinate);
  }
  for (; j != b.end(); ++j) {
    result.push_back(j->coordinate);
  }
  return result;
}

void sort_by_coordinate(Edits& edits, Edits& scratch, std::size_t size) {
  // A comparison sort of 600 edits costs about as much as copying a 224x224x3 image; two passes of counting do not.
  constexpr std::size_t kFewEdits = 64;
  if (edits.size() <= kFewEdits) {
    std::sort(edits.begin(), edits.end(), [](const Edit& a, const Edit& b) { return a.coordinate < b.coordinate; });
    return;
  }
  scratch.resize(edits.size());
  for (std::uint32_t shift = 0; shift < 32 && ((size - 1) >> shift) != 0; shift += kDigitBits) {
    sort_pass(edits, scratch, shift);
    edits.swap(scratch);
  }
}

}  // namespace dfa
