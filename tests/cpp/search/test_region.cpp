#include <doctest/doctest.h>

#include <cstdint>
#include <set>
#include <utility>
#include <vector>

#include "dfa/search/region.hpp"
#include "support.hpp"

namespace {

using support::Twin;
using support::Whole;

std::vector<dfa::Difference> to_negatives(const dfa::Population& population, const dfa::Space& space,
                                          std::size_t positive) {
  std::vector<dfa::Difference> differences;
  for (std::size_t n = population.num_positives(); n < population.size(); ++n) {
    differences.push_back(population.difference(space, population[positive], population[n]));
  }
  return differences;
}

bool is_inside(const dfa::Space& space, const dfa::Cuts& cuts, const Whole& x) {
  for (std::uint32_t p = 0; p < x.size(); ++p) {
    const dfa::Bounds bounds = dfa::bounds_in(space, cuts, p);
    if (x[p] < bounds.low || x[p] > bounds.high) {
      return false;
    }
  }
  return true;
}

}  // namespace

TEST_CASE("the ordered region holds its positive, no negative but copies of it, and few cuts") {
  std::size_t most_cuts = 0;
  for (std::uint32_t trial = 0; trial < 300; ++trial) {
    CAPTURE(trial);
    dfa::Stream stream = support::numbers(1000 + trial);
    dfa::Config config;
    config.samples = 1 + stream.below(8);
    config.positives = 1 + stream.below(3);
    const std::size_t size = 1 + stream.below(40);
    const auto radius = static_cast<std::uint8_t>(trial % 4 == 0 ? 0U : 1U + stream.below(255));
    const dfa::Space space = support::random_ball(size, radius, dfa::Domain::kBall, stream);
    Twin twin(config, space);
    std::vector<std::pair<double, Whole>> members;
    for (std::uint32_t i = 0; i < config.population(); ++i) {
      // Strangers, relatives that differ in one place, and copies.
      const std::uint32_t kind = members.empty() ? 0 : stream.below(3);
      Whole whole = kind == 0 ? support::random_whole(space, stream)
                              : members[stream.below(static_cast<std::uint32_t>(members.size()))].second;
      if (kind == 1) {
        const std::uint32_t p = space.free_coordinate(stream.below(space.free_count()));
        whole[p] = space.bounds(p).low;
      }
      members.emplace_back(i, std::move(whole));
    }
    twin.start(members);
    const dfa::Population& population = twin.population;
    for (std::size_t positive = 0; positive < config.positives; ++positive) {
      dfa::Cuts cuts{{0, {7, 7}}};  // what an earlier candidate left
      dfa::cut_ordered(space, population, positive, to_negatives(population, space, positive), stream, cuts);
      const Whole& plus = twin.reference[positive].values;
      CHECK(is_inside(space, cuts, plus));
      std::set<std::uint32_t> coordinates;
      for (const dfa::Cut& cut : cuts) {
        coordinates.insert(cut.coordinate);
        const dfa::Bounds whole = space.bounds(cut.coordinate);
        CHECK(cut.bounds.low >= whole.low);
        CHECK(cut.bounds.high <= whole.high);
        CHECK((cut.bounds.low > whole.low || cut.bounds.high < whole.high));
      }
      CHECK(coordinates.size() == cuts.size());
      CHECK(cuts.size() <= config.samples);
      most_cuts = std::max(most_cuts, cuts.size());
      for (std::size_t n = config.positives; n < twin.reference.size(); ++n) {
        const Whole& minus = twin.reference[n].values;
        CHECK(is_inside(space, cuts, minus) == (minus == plus));
      }
    }
  }
  CHECK(most_cuts >= 4);
}

TEST_CASE("where every negative is a copy of the positive nothing is cut and nothing drawn") {
  const dfa::Space space({1, 2, 3}, 5, dfa::Domain::kBall);
  dfa::Config config;
  Twin twin(config, space);
  twin.start({{0, {1, 2, 3}}, {1, {1, 1, 1}}, {2, {1, 2, 3}}, {3, {1, 2, 3}}, {4, {1, 2, 3}}});
  dfa::Stream stream = support::numbers(1);
  dfa::Stream untouched = support::numbers(1);
  dfa::Cuts cuts;
  dfa::cut_ordered(space, twin.population, 0, to_negatives(twin.population, space, 0), stream, cuts);
  CHECK(cuts.empty());
  CHECK(stream.next() == untouched.next());
}

TEST_CASE("one cut lies anywhere between the positive and the negative, and leaves the positive") {
  const dfa::Space space({100}, 5, dfa::Domain::kBall);
  dfa::Config config;
  config.samples = 1;
  config.positives = 1;
  for (const bool is_above : {true, false}) {
    Twin twin(config, space);
    twin.start({{0, {is_above ? -1 : 1}}, {1, {is_above ? 3 : -3}}});
    std::set<std::int32_t> ends;
    for (std::uint32_t i = 0; i < 200; ++i) {
      dfa::Stream stream = support::numbers(i);
      dfa::Cuts cuts;
      dfa::cut_ordered(space, twin.population, 0, to_negatives(twin.population, space, 0), stream, cuts);
      REQUIRE(cuts.size() == 1);
      CHECK((is_above ? cuts[0].bounds.low == -5 : cuts[0].bounds.high == 5));
      ends.insert(is_above ? cuts[0].bounds.high : cuts[0].bounds.low);
      dfa::Stream again = support::numbers(i);
      const dfa::Bounds alone = dfa::cut_coordinate(twin.population, 0, 0, {-5, 5}, again);
      CHECK((is_above ? alone.low == -5 : alone.high == 5));
      CHECK((is_above ? alone.high >= -1 && alone.high < 3 : alone.low <= 1 && alone.low > -3));
    }
    CHECK(ends == (is_above ? std::set<std::int32_t>{-1, 0, 1, 2} : std::set<std::int32_t>{-2, -1, 0, 1}));
  }
}

TEST_CASE("a coordinate is cut once against every negative that differs there, within the bounds given") {
  const dfa::Space space({100, 100}, 50, dfa::Domain::kBall);
  dfa::Config config;
  config.positives = 1;
  config.samples = 4;
  Twin twin(config, space);
  twin.start({{0, {0, 7}}, {1, {1, 7}}, {2, {-40, 7}}, {3, {40, 7}}, {4, {0, 8}}});
  for (std::uint32_t i = 0; i < 100; ++i) {
    dfa::Stream stream = support::numbers(i);
    dfa::Stream same = support::numbers(i);
    const dfa::Bounds bounds = dfa::cut_coordinate(twin.population, 0, 0, {-3, 50}, stream);
    same.below(1);
    const std::int32_t low = -39 + static_cast<std::int32_t>(same.below(40));
    same.below(40);
    CHECK(bounds.high == 0);  // between 0 and 1 there is one cut, which no later one loosens
    CHECK(bounds.low == std::max(low, -3));
    CHECK(stream.next() == same.next());
  }
  dfa::Stream stream = support::numbers(5);
  dfa::Stream same = support::numbers(5);
  const dfa::Bounds bounds = dfa::cut_coordinate(twin.population, 0, 1, {-50, 50}, stream);
  CHECK(bounds.low == -50);
  CHECK(bounds.high == 7);
  same.below(1);
  CHECK(stream.next() == same.next());
}

TEST_CASE("coordinates without a cut keep the ball's bounds") {
  const dfa::Space space({0, 100, 255}, 9, dfa::Domain::kValid);
  const dfa::Cuts cuts{{1, {-2, 3}}, {2, {-1, 0}}};
  CHECK(dfa::bounds_in(space, cuts, 0).low == 0);
  CHECK(dfa::bounds_in(space, cuts, 0).high == 9);
  CHECK(dfa::bounds_in(space, cuts, 1).low == -2);
  CHECK(dfa::bounds_in(space, cuts, 1).high == 3);
  CHECK(dfa::bounds_in(space, cuts, 2).low == -1);
  CHECK(dfa::bounds_in(space, {}, 2).low == -9);
}
