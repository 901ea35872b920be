#include <doctest/doctest.h>

#include <array>
#include <cstdint>
#include <limits>

#include "dfa/search/gains.hpp"
#include "support.hpp"

namespace {

// As in gains.cpp.
constexpr double kPlainPrior = 4.0;
constexpr double kFading = 0.98;

constexpr int kDraws = 20000;

using Counts = std::array<int, dfa::Gains::kNumFillings>;

Counts draws(const dfa::Gains& gains) {
  dfa::Stream stream = support::numbers(7);
  Counts counts{};
  for (int i = 0; i < kDraws; ++i) {
    ++counts.at(gains.draw(stream));
  }
  return counts;
}

// Against plain with weight `plain` and even textures with 1 altogether, with 9 degrees of freedom.
double chi_square(const Counts& counts, double plain) {
  double statistic = 0.0;
  for (std::size_t i = 0; i < counts.size(); ++i) {
    const double share = (i == 0 ? plain : 1.0 / dfa::kWindowTextures.size()) / (plain + 1.0);
    const double expected = share * kDraws;
    statistic += (counts[i] - expected) * (counts[i] - expected) / expected;
  }
  return statistic;
}

}  // namespace

TEST_CASE("before anything is known, plain has its prior and all textures are even") {
  CHECK(chi_square(draws(dfa::Gains()), kPlainPrior) < 27.9);  // p = 0.001
  CHECK(chi_square(draws(dfa::Gains()), 1.1 * kPlainPrior) > 27.9);
}

TEST_CASE("candidates that gained nothing leave the weights as they were") {
  dfa::Gains gains;
  for (int i = 0; i < 30; ++i) {
    gains.learn(i % 3 == 0 ? 4 : dfa::Gains::kPlain, 0.0);
  }
  CHECK(draws(gains) == draws(dfa::Gains()));
}

TEST_CASE("a filling that gains more is drawn more often") {
  const Counts before = draws(dfa::Gains());
  dfa::Gains good;
  for (int i = 0; i < 20; ++i) {
    for (std::size_t filling = 1; filling < dfa::Gains::kNumFillings; ++filling) {
      good.learn(filling, filling == 3 ? 1.0 : 0.1);
    }
    good.learn(dfa::Gains::kPlain, 0.1);
  }
  const Counts woven = draws(good);
  CHECK(woven[0] < before[0] * 3 / 4);
  for (std::size_t filling = 1; filling < woven.size(); ++filling) {
    CHECK((filling == 3 || 5 * woven[filling] < woven[3]));
  }
  dfa::Gains plain;
  for (int i = 0; i < 20; ++i) {
    plain.learn(dfa::Gains::kPlain, 1.0);
    plain.learn(1, 0.01);
  }
  CHECK(kDraws - draws(plain)[0] < (kDraws - before[0]) / 20);
}

TEST_CASE("the weights are the cube of what a kind gains and the square of what a texture gains") {
  dfa::Gains gains;
  gains.kinds[0] = {1e6, 1e6};  // so many that two more of the average do not matter
  gains.kinds[1] = {2e6, 1e6};
  for (std::size_t i = 0; i < gains.textures.size(); ++i) {
    gains.textures[i] = {i == 0 ? 3e6 : 1e6, 1e6};
  }
  const Counts counts = draws(gains);
  const double woven = 8.0 / (kPlainPrior + 8.0);
  const double first = woven * 9.0 / (9.0 + 8.0);
  CHECK(counts[0] == doctest::Approx(kDraws * (1.0 - woven)).epsilon(0.04));
  CHECK(counts[1] == doctest::Approx(kDraws * first).epsilon(0.04));
  CHECK(counts[9] == doctest::Approx(kDraws * woven / 17.0).epsilon(0.15));
}

TEST_CASE("what was learned before fades, of textures only where one was tried") {
  dfa::Gains gains;
  gains.learn(2, 1.0);
  gains.learn(dfa::Gains::kPlain, 0.5);
  CHECK(gains.kinds[0].sum == 0.5);
  CHECK(gains.kinds[0].count == 1.0);
  CHECK(gains.kinds[1].sum == kFading);
  CHECK(gains.kinds[1].count == kFading);
  CHECK(gains.textures[1].sum == 1.0);
  CHECK(gains.textures[1].count == 1.0);
  gains.learn(9, 0.25);
  CHECK(gains.kinds[0].sum == 0.5 * kFading);
  CHECK(gains.kinds[1].sum == kFading * kFading + 0.25);
  CHECK(gains.kinds[1].count == kFading * kFading + 1.0);
  CHECK(gains.textures[1].sum == kFading);
  CHECK(gains.textures[1].count == kFading);
  CHECK(gains.textures[8].sum == 0.25);
  CHECK(gains.textures[0].count == 0.0);
}

TEST_CASE("gains add up without fading, and are shared in the weight of a few candidates at most") {
  dfa::Gains gains;
  gains.add(dfa::Gains::kPlain, 1.0);
  gains.add(3, 2.0);
  dfa::Gains other;
  for (int i = 0; i < 6; ++i) {
    other.add(3, 0.5);
    other.add(dfa::Gains::kPlain, 0.25);
  }
  gains.add(other);
  CHECK(gains.kinds[0].sum == 2.5);
  CHECK(gains.kinds[0].count == 7.0);
  CHECK(gains.kinds[1].sum == 5.0);
  CHECK(gains.textures[2].sum == 5.0);
  CHECK(gains.textures[2].count == 7.0);
  dfa::Gains shared;
  shared.learn_from(other, 3.0);  // 12 of kinds, 6 of textures
  CHECK(shared.kinds[0].sum == 1.5 / 4);
  CHECK(shared.kinds[0].count == 1.5);
  CHECK(shared.textures[2].sum == 1.5);
  CHECK(shared.textures[2].count == 3.0);
  dfa::Gains whole;
  whole.learn_from(other, 12.0);
  CHECK(whole.kinds[1].sum == 3.0);
  CHECK(whole.textures[2].count == 6.0);
}

TEST_CASE("gains that faded to almost nothing count as none") {
  dfa::Gains gains;
  gains.learn(dfa::Gains::kPlain, 0.5);
  gains.learn(4, 0.5);
  for (int i = 0; i < 50000; ++i) {
    gains.learn(static_cast<std::size_t>(i % 2) * 4, 0.0);
  }
  REQUIRE(gains.kinds[0].sum < std::numeric_limits<double>::min());
  CHECK(chi_square(draws(gains), kPlainPrior) < 27.9);
}
