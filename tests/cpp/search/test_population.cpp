#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <stdexcept>
#include <utility>
#include <vector>

#include "dfa/search/population.hpp"
#include "states.hpp"
#include "support.hpp"

namespace {

using support::Twin;
using support::Whole;

struct Problem {
  dfa::Region region;
  dfa::Ties ties;
  std::uint8_t radius;  // 0: one per coordinate
  std::size_t size;
  std::uint32_t samples;
  std::uint32_t positives;
};

const Problem kProblems[] = {
    {dfa::Region::kOrdered, dfa::Ties::kOlder, 2, 12, 3, 2},
    {dfa::Region::kOrdered, dfa::Ties::kNewer, 200, 30, 5, 3},
    {dfa::Region::kOrdered, dfa::Ties::kOlder, 0, 40, 4, 1},
    {dfa::Region::kOrdered, dfa::Ties::kNewer, 1, 3, 6, 4},
    {dfa::Region::kPerCoordinate, dfa::Ties::kNewer, 64, 25, 3, 2},
    {dfa::Region::kPerCoordinate, dfa::Ties::kOlder, 0, 25, 2, 4},
    {dfa::Region::kNone, dfa::Ties::kNewer, 10, 30, 1, 1},
    {dfa::Region::kNone, dfa::Ties::kOlder, 128, 30, 4, 3},
    {dfa::Region::kNone, dfa::Ties::kNewer, 0, 30, 3, 3},
};

dfa::Config config_of(const Problem& problem) {
  dfa::Config config;
  config.region = problem.region;
  config.ties = problem.ties;
  config.samples = problem.samples;
  config.positives = problem.positives;
  return config;
}

void start(Twin& twin, const dfa::Space& space, const dfa::Config& config, dfa::Stream& stream) {
  std::vector<std::pair<double, Whole>> members;
  Whole last;
  for (std::uint32_t i = 0; i < config.population(); ++i) {
    // Now and then a near copy of the one before, so that families of different starts are alike.
    if (last.empty() || stream.below(3) != 0) {
      last = support::random_whole(space, stream);
    } else {
      const std::uint32_t p = space.free_coordinate(stream.below(space.free_count()));
      last[p] = space.bounds(p).high;
    }
    members.emplace_back(stream.below(4), last);
  }
  twin.start(members);
}

// Mostly improves, so that populations turn over; whole numbers, so that ties decide.
double next_degree(const Twin& twin, dfa::Stream& stream) {
  const double worst = twin.reference.back().degree;
  return worst - 1.0 + stream.between(-1, 2);
}

void check_equals(const Twin& twin, const dfa::Space& space, const dfa::Config& config) {
  const dfa::Population& population = twin.population;
  REQUIRE(population.size() == twin.reference.size());
  for (std::size_t rank = 0; rank < population.size(); ++rank) {
    CAPTURE(rank);
    const dfa::Member& member = population[rank];
    CHECK(member.degree == twin.reference[rank].degree);
    CHECK(member.birth == twin.reference[rank].birth);
    const bool is_positive = rank < config.positives;
    const bool has_vector = member.family != dfa::Member::kNoVector;
    CHECK(has_vector == (is_positive || config.region != dfa::Region::kNone));
    if (has_vector) {
      CHECK(support::whole_of(population, member, space.size()) == twin.reference[rank].values);
    } else {
      CHECK(member.edits.empty());
    }
  }
}

void check_invariants(const dfa::Population& population, const dfa::Space& space) {
  std::vector<bool> has_best(population.num_families(), false);
  for (std::size_t rank = 0; rank < population.size(); ++rank) {
    CAPTURE(rank);
    const dfa::Member& member = population[rank];
    if (member.family == dfa::Member::kNoVector) {
      continue;
    }
    const auto f = static_cast<std::size_t>(member.family);
    REQUIRE(f < population.num_families());
    const dfa::Family& family = population.family(member);
    // The base is the family's best member, and edits ascend and differ from the base, which they know.
    CHECK((has_best[f] || member.edits.empty()));
    has_best[f] = true;
    for (std::size_t i = 0; i < member.edits.size(); ++i) {
      const dfa::Edit& edit = member.edits[i];
      CHECK((i == 0 || member.edits[i - 1].coordinate < edit.coordinate));
      CHECK(edit.value != edit.base_value);
      CHECK(edit.base_value == family.base[edit.coordinate]);
      CHECK(edit.pixel == space.pixel(edit.coordinate, edit.value));
      CHECK(edit.base_pixel == space.pixel(edit.coordinate, edit.base_value));
    }
    // A positive's family has its image at hand; any image there is shows the base.
    CHECK((rank >= population.num_positives() || !family.image.empty()));
    if (!family.image.empty()) {
      std::vector<std::uint8_t> image(space.size());
      family.base.render(space, image.data());
      CHECK(family.image == image);
    }
  }
  CHECK(std::find(has_best.begin(), has_best.end(), false) == has_best.end());  // no family without members
}

void check_differences(const Twin& twin, const dfa::Space& space) {
  const dfa::Population& population = twin.population;
  for (std::size_t a = 0; a < population.size(); ++a) {
    for (std::size_t b = 0; b < population.size(); ++b) {
      if (population[a].family == dfa::Member::kNoVector || population[b].family == dfa::Member::kNoVector) {
        continue;
      }
      const Whole& x = twin.reference[a].values;
      const Whole& y = twin.reference[b].values;
      std::vector<std::uint32_t> expected;
      for (std::uint32_t p = 0; p < x.size(); ++p) {
        if (x[p] != y[p]) {
          expected.push_back(p);
        }
      }
      const dfa::Difference found = population.difference(space, population[a], population[b]);
      CAPTURE(a);
      CAPTURE(b);
      CHECK(found.count == expected.size());
      CHECK(found.is_listed == (4 * expected.size() < space.free_count()));
      if (found.is_listed) {
        REQUIRE(found.departures.size() == expected.size());
        for (std::size_t i = 0; i < expected.size(); ++i) {
          CHECK(found.departures[i].coordinate == expected[i]);
          CHECK(found.departures[i].value_a == x[expected[i]]);
          CHECK(found.departures[i].value_b == y[expected[i]]);
        }
      }
    }
  }
}

}  // namespace

TEST_CASE("a population of edits is the population of whole vectors, through random trajectories") {
  std::uint32_t which = 100;
  for (const Problem& problem : kProblems) {
    for (const dfa::Domain domain : {dfa::Domain::kBall, dfa::Domain::kValid}) {
      CAPTURE(which);
      dfa::Stream stream = support::numbers(which++);
      const dfa::Config config = config_of(problem);
      const dfa::Space space = support::random_ball(problem.size, problem.radius, domain, stream);
      Twin twin(config, space);
      CHECK(twin.population.size() == 0);
      start(twin, space, config, stream);
      for (int iteration = 0; iteration < 60; ++iteration) {
        CAPTURE(iteration);
        check_equals(twin, space, config);
        check_invariants(twin.population, space);
        check_differences(twin, space);
        std::vector<std::pair<double, dfa::Proposal>> candidates;
        for (std::uint32_t i = 0; i < config.samples; ++i) {
          const std::size_t n = 1 + stream.below(4);
          candidates.emplace_back(next_degree(twin, stream), twin.random_proposal(n, stream));
        }
        twin.grow(std::move(candidates));
      }
      CHECK(twin.reference.front().birth >= config.population());
    }
  }
}

TEST_CASE("equal degrees rank by age in the chosen direction, and the signs of zero are equal") {
  const dfa::Space space({5, 5}, 9, dfa::Domain::kBall);
  for (const dfa::Ties ties : {dfa::Ties::kOlder, dfa::Ties::kNewer}) {
    dfa::Config config;
    config.ties = ties;
    Twin twin(config, space);
    const double infinity = INFINITY;
    twin.start({{0.0, {1, 1}}, {infinity, {2, 2}}, {-0.0, {3, 3}}, {infinity, {4, 4}}, {-infinity, {5, 5}}});
    std::vector<std::uint64_t> births;
    for (std::size_t rank = 0; rank < 5; ++rank) {
      births.push_back(twin.population[rank].birth);
    }
    CHECK(births == (ties == dfa::Ties::kOlder ? std::vector<std::uint64_t>{4, 0, 2, 1, 3}
                                               : std::vector<std::uint64_t>{4, 2, 0, 3, 1}));
  }
}

TEST_CASE("several candidates of one parent enter at once, also while the parent leaves") {
  const dfa::Space space(std::vector<std::uint8_t>(6, 100), 9, dfa::Domain::kBall);
  dfa::Config config;
  config.samples = 2;
  config.positives = 1;
  Twin twin(config, space);
  const Whole parent{1, 2, 3, 4, 5, 6};
  twin.start({{5.0, parent}, {6.0, Whole(6, 0)}, {7.0, Whole(6, 1)}});
  const auto child = [](std::uint32_t p, std::int16_t value) {
    dfa::Proposal proposal;
    proposal.edits = {{p, value, 0, 0, 0}};
    return proposal;
  };
  twin.grow({{1.0, child(5, -6)}, {2.0, child(0, -1)}});
  check_equals(twin, space, config);
  CHECK(twin.population.num_families() == 1);
  twin.grow({{0.5, child(1, -2)}, {0.25, child(2, -3)}});  // three better than the first parent: it is gone
  check_equals(twin, space, config);
  check_invariants(twin.population, space);
  CHECK(twin.reference.back().birth == 3);
}

TEST_CASE("members cost as much as they differ from the best, whatever the image's size") {
  // Changes of |Y| coordinates in an image of 50,000: once the starts have died out, every member is a few generations
  // from its base.
  dfa::Stream stream = support::numbers(7);
  constexpr std::size_t kY = 20;
  dfa::Config config;
  const dfa::Space space = support::random_ball(50000, 10, dfa::Domain::kBall, stream);
  Twin twin(config, space);
  start(twin, space, config, stream);
  std::size_t most = 0;
  for (int iteration = 0; iteration < 400; ++iteration) {
    std::vector<std::pair<double, dfa::Proposal>> candidates;
    for (std::uint32_t i = 0; i < config.samples; ++i) {
      candidates.emplace_back(next_degree(twin, stream), twin.random_proposal(kY, stream));
    }
    twin.grow(std::move(candidates));
    if (iteration >= 100) {
      CHECK(twin.population.num_families() == 1);
      for (std::size_t rank = 0; rank < twin.population.size(); ++rank) {
        most = std::max(most, twin.population[rank].edits.size());
      }
    }
  }
  CHECK(most >= kY);
  CHECK(most <= 25 * kY);
  check_equals(twin, space, config);
}

// The parts of a population, in the order in which it writes them.
struct Parts {
  std::vector<dfa::Family> families;
  std::vector<dfa::Member> members;

  template <typename Self, typename State>
  static void describe(Self& self, State& state) {
    state.field(self.families);
    state.field(self.members);
  }
};

dfa::Population restored(const dfa::Config& config, const dfa::Space& space, const Parts& parts) {
  dfa::Population population(config);
  states::copy(parts, population);
  population.restore(space);
  return population;
}

TEST_CASE("a population restored from its parts is the same and goes on the same") {
  for (const Problem& problem : kProblems) {
    dfa::Stream stream = support::numbers(8);
    const dfa::Config config = config_of(problem);
    const dfa::Space space = support::random_ball(problem.size, problem.radius, dfa::Domain::kBall, stream);
    Twin twin(config, space);
    start(twin, space, config, stream);
    for (int iteration = 0; iteration < 15; ++iteration) {
      Parts parts;
      states::copy(twin.population, parts);
      REQUIRE(parts.families.size() == twin.population.num_families());
      REQUIRE(parts.members.size() == twin.population.size());
      twin.population = restored(config, space, parts);
      check_equals(twin, space, config);
      check_invariants(twin.population, space);
      check_differences(twin, space);
      std::vector<std::pair<double, dfa::Proposal>> candidates;
      for (std::uint32_t i = 0; i < config.samples; ++i) {
        candidates.emplace_back(next_degree(twin, stream), twin.random_proposal(3, stream));
      }
      twin.grow(std::move(candidates));
    }
    check_equals(twin, space, config);
  }
}

TEST_CASE("parts that contradict one another are refused") {
  const dfa::Space space({5, 5}, 9, dfa::Domain::kBall);
  dfa::Config config;
  config.samples = 1;
  config.positives = 1;
  const auto restore = [&](std::vector<dfa::Member> members) {
    restored(config, space, {{{dfa::DenseVector(2, 9), {}}}, std::move(members)});
  };
  const dfa::Member good{1.0, 3, 0, {}};
  const dfa::Member worse{2.0, 1, 0, {}};
  const dfa::Member equal_but_younger{1.0, 4, 0, {}};
  const dfa::Member without_vector{2.0, 1, dfa::Member::kNoVector, {}};
  CHECK_NOTHROW(restore({good, worse}));
  CHECK_NOTHROW(restore({good, equal_but_younger}));
  CHECK_THROWS_WITH_AS(restore({good, without_vector}),
                       "saved state lacks the vector of a negative that a region reads", std::invalid_argument);
  config.region = dfa::Region::kNone;
  CHECK_NOTHROW(restore({good, without_vector}));
  CHECK_THROWS_WITH_AS(restore({worse, good}), "saved state holds members out of order", std::invalid_argument);
  CHECK_THROWS_WITH_AS(restore({equal_but_younger, good}), "saved state holds members out of order",
                       std::invalid_argument);
  CHECK_THROWS_WITH_AS(restore({good, good}), "saved state holds members out of order", std::invalid_argument);
  CHECK_THROWS_WITH_AS(restore({without_vector}), "saved state lacks the vector of a positive", std::invalid_argument);
  for (const std::int32_t family : {1, -2, 1000000}) {
    dfa::Member lost = good;
    lost.family = family;
    CHECK_THROWS_WITH_AS(restore({lost}), "saved state names a family that is not in it", std::invalid_argument);
  }
  dfa::Member nowhere = good;
  nowhere.degree = std::nan("");
  CHECK_THROWS_WITH_AS(restore({nowhere}), "saved state holds a degree that is not a number", std::invalid_argument);
  dfa::Member twin = worse;
  twin.birth = good.birth;
  CHECK_THROWS_WITH_AS(restore({good, twin}), "saved state holds two members of one birth", std::invalid_argument);
  const auto with_base = [&](const dfa::DenseVector& base) { restored(config, space, {{{base, {}}}, {good, worse}}); };
  for (const dfa::DenseVector& other : {dfa::DenseVector(3, 9), dfa::DenseVector(2, 200), dfa::DenseVector()}) {
    CHECK_THROWS_WITH_AS(with_base(other), "saved state holds a perturbation of another size", std::invalid_argument);
  }
  dfa::DenseVector far(2, 9);
  far.set(1, -10);
  CHECK_THROWS_WITH_AS(with_base(far), "saved state holds a perturbation outside its bounds", std::invalid_argument);
}
