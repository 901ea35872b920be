#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <limits>
#include <stdexcept>
#include <vector>

#include "dfa/lattice/lattice.hpp"
#include "support.hpp"

namespace {

constexpr double kSlack = 1e-3;
using Bytes = std::vector<std::uint8_t>;

dfa::LatticeBox box_of(const std::vector<double>& levels, const Bytes& original, std::int32_t epsilon = 255) {
  return {levels.data(), original.data(), levels.size(), epsilon, kSlack};
}

Bytes nearest_of(const dfa::LatticeBox& box) {
  Bytes image(box.size());
  box.write(image.data(), [&](std::size_t i) { return box.nearest_is_high(i); });
  return image;
}

}  // namespace

TEST_CASE("a box rounds half to even, leaves whole levels and stays within epsilon") {
  const dfa::LatticeBox box = box_of({0.5, 1.5, 7.0004, 9.9996, 250.2, 20.7}, {0, 2, 7, 10, 200, 20}, 50);
  CHECK(nearest_of(box) == Bytes{0, 2, 7, 10, 250, 21});
  CHECK(box.num_free() == 3);
  CHECK(box.place(2) == 5);
  CHECK(box.fraction(0) == 0.5);
  CHECK(box.outward_is_high(0));
  CHECK_FALSE(box.outward_is_high(1));
  CHECK(box.other(1, 1) == 2);
  CHECK(box.other(1, 2) == 1);
}

TEST_CASE("levels that are none are refused") {
  for (const double level : {-0.1, 255.5, std::numeric_limits<double>::quiet_NaN()}) {
    CHECK_THROWS_AS(box_of({1.0, level}, {1, 1}), std::invalid_argument);
  }
}

TEST_CASE("a search of flips ends at an image that no single flip improves, the same on any number of threads") {
  constexpr std::size_t kSize = 40;
  constexpr std::size_t kNumber = 9;
  dfa::Stream numbers = support::numbers(7);
  std::vector<double> levels(kNumber * kSize);
  for (double& level : levels) {
    level = numbers.below(25500) / 100.0;
  }
  const Bytes originals(levels.size(), 128);
  const std::vector<std::int32_t> epsilons(kNumber, 255);
  std::vector<std::uint32_t> ids(kNumber);
  for (std::uint32_t i = 0; i < kNumber; ++i) {
    ids[i] = i;
  }
  // Every second coordinate wants to be up, the others down.
  const auto degree = [](const std::uint8_t* image) {
    double sum = 0;
    for (std::size_t j = 0; j < kSize; ++j) {
      sum += j % 2 == 0 ? -image[j] : image[j];
    }
    return sum;
  };
  std::vector<std::vector<double>> found;
  for (const int threads : {1, 3}) {
    dfa::LatticeBatch batch(kSize, {{dfa::LatticeStage::kStochastic, dfa::LatticeStage::kBlocks}, 4}, 11, threads,
                            kSlack);
    std::vector<std::size_t> slots = batch.add(levels.data(), originals.data(), epsilons, ids);
    CHECK(batch.num_searches() == kNumber);
    std::vector<double> all;
    std::vector<double> best(kNumber, std::numeric_limits<double>::infinity());
    while (!slots.empty()) {
      Bytes images(slots.size() * kSize);
      const auto stages = batch.propose(slots, images.data());
      std::vector<std::size_t> left;
      std::vector<double> degrees;
      for (std::size_t i = 0; i < slots.size(); ++i) {
        if (!stages[i]) {
          batch.remove(slots[i]);
          continue;
        }
        left.push_back(slots[i]);
        degrees.push_back(degree(images.data() + i * kSize));
        best[slots[i]] = std::min(best[slots[i]], degrees.back());
      }
      all.insert(all.end(), degrees.begin(), degrees.end());
      batch.tell(left, degrees.data());
      slots = left;
    }
    CHECK(batch.num_searches() == 0);
    for (std::size_t i = 0; i < kNumber; ++i) {
      Bytes ideal(kSize);
      for (std::size_t j = 0; j < kSize; ++j) {
        const double level = levels[i * kSize + j];
        ideal[j] = static_cast<std::uint8_t>(j % 2 == 0 ? std::ceil(level) : std::floor(level));
      }
      CHECK(best[i] == degree(ideal.data()));
    }
    found.push_back(all);
  }
  CHECK(found[0] == found[1]);
}

TEST_CASE("a search has one candidate under way at a time, and misuse changes nothing") {
  dfa::LatticeBatch batch(2, {{dfa::LatticeStage::kOutward}, 0}, 0, 1, kSlack);
  const std::vector<double> levels{1.25, 2.5};
  const Bytes original{1, 1};
  const std::vector<std::size_t> slots = batch.add(levels.data(), original.data(), {5}, {0});
  Bytes image(4);
  CHECK_THROWS_AS(batch.tell(slots, levels.data()), std::invalid_argument);
  CHECK_THROWS_AS(batch.propose({slots[0], slots[0]}, image.data()), std::invalid_argument);
  CHECK_THROWS_AS(batch.propose({slots[0] + 1}, image.data()), std::invalid_argument);
  CHECK(batch.propose(slots, image.data())[0] == dfa::LatticeStage::kNearest);
  CHECK(image == Bytes{1, 2, 0, 0});
  CHECK_THROWS_AS(batch.propose(slots, image.data()), std::invalid_argument);
  const double none = std::numeric_limits<double>::quiet_NaN();
  CHECK_THROWS_AS(batch.tell(slots, &none), std::invalid_argument);
  const double one = 1.0;
  batch.tell(slots, &one);
  CHECK(batch.propose(slots, image.data())[0] == dfa::LatticeStage::kOutward);
  CHECK(image == Bytes{2, 3, 0, 0});
  batch.tell(slots, &one);
  CHECK_FALSE(batch.propose(slots, image.data())[0]);
  batch.remove(slots[0]);
  CHECK_THROWS_AS(batch.remove(slots[0]), std::invalid_argument);
  CHECK(batch.add(levels.data(), original.data(), {5}, {0}) == slots);
}

TEST_CASE("plans and sizes that make no sense are refused") {
  CHECK_THROWS_AS(dfa::LatticeBatch(0, {{}, 0}, 0, 1, kSlack), std::invalid_argument);
  CHECK_THROWS_AS(dfa::LatticeBatch(1, {{}, 0}, 0, 0, kSlack), std::invalid_argument);
  CHECK_THROWS_AS(dfa::LatticeBatch(1, {{dfa::LatticeStage::kNearest}, 0}, 0, 1, kSlack), std::invalid_argument);
}
