#include <doctest/doctest.h>

#include <cmath>
#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <limits>
#include <memory>
#include <stdexcept>
#include <vector>

#include "dfa/search/opening.hpp"
#include "states.hpp"

namespace {

constexpr double kForEver = std::numeric_limits<double>::infinity();
constexpr std::size_t kMany = 99;

dfa::Plan planned(std::initializer_list<double> rates) {
  dfa::Plan plan = dfa::plan_alone(rates.size());
  std::size_t i = 0;
  for (const double rate : rates) {
    plan.starts[i++].rate = rate;
  }
  return plan;
}

// Starts of those roots, of no variance to speak of, and of which no success is expected.
dfa::Plan expecting(std::initializer_list<double> roots) {
  dfa::Plan plan = dfa::plan_alone(roots.size());
  plan.patience = 1.0;
  std::size_t i = 0;
  for (const double root : roots) {
    plan.starts[i].rate = 0.0;
    plan.starts[i++].outlook = {root, 1e-12, 0.0};
  }
  return plan;
}

std::vector<std::size_t> choose(dfa::Opening& opening, const dfa::Plan& plan, std::size_t least, std::size_t most) {
  opening.choose(plan, least, most);
  std::vector<std::size_t> chosen;
  for (std::size_t birth = opening.num_answered(); birth < opening.num_asked(); ++birth) {
    chosen.push_back(opening.start(birth));
  }
  return chosen;
}

using Starts = std::vector<std::size_t>;

}  // namespace

TEST_CASE("where nothing is known all starts are asked, in their order, while few successes are expected of a group") {
  const auto groups = [](const dfa::Plan& plan) {
    dfa::Opening opening;
    std::vector<std::size_t> sizes;
    while (true) {
      const Starts chosen = choose(opening, plan, 1, dfa::Opening::kMostTogether);
      if (chosen.empty()) {
        return sizes;
      }
      for (std::size_t i = 0; i < chosen.size(); ++i) {
        CHECK(chosen[i] == opening.num_answered() + i);
      }
      sizes.push_back(chosen.size());
      opening.answer(plan, std::vector<double>(chosen.size(), 0.0));  // not even after a success
    }
  };
  CHECK(groups(dfa::plan_alone(11)) == Starts{3, 3, 3, 2});
  CHECK(groups(planned({0.0, 0.0, 0.01, 0.0})) == Starts{3, 1});
  CHECK(groups(planned({0.9, 0.1, 0.1})) == Starts{1, 2});
  CHECK(groups(planned({0.25, 0.05, 0.1})) == Starts{2, 1});
  CHECK(groups(planned({0.25, 0.03, 0.9, 0.1})) == Starts{3, 1});
}

TEST_CASE("at least and at most so many starts go together") {
  dfa::Opening opening;
  CHECK(choose(opening, planned({0.9, 0.9, 0.9, 0.9}), 3, 3) == Starts{0, 1, 2});
  CHECK(choose(opening, planned({0.0, 0.0, 0.0, 0.0}), 1, 2) == Starts{0, 1});
  CHECK(choose(opening, planned({0.0, 0.0}), 3, 3) == Starts{0, 1});
}

TEST_CASE("the most hopeful start is asked first, and none without hope of being the best") {
  dfa::Plan plan = expecting({0.8, 0.6, 0.4, 0.9});
  dfa::Opening opening;
  REQUIRE(choose(opening, plan, 1, 1) == Starts{2});
  opening.answer(plan, {0.49});  // 0.7, and all are expected to leave 0.15 more
  REQUIRE(choose(opening, plan, 1, kMany).empty());
  plan.starts[0].outlook.variance = 0.09;  // now it may leave 0.95 - 0.3
  CHECK(choose(opening, plan, 1, kMany) == Starts{0});
  plan.patience = 0.8;
  CHECK(choose(opening, plan, 1, kMany).empty());
  plan.patience = kForEver;
  CHECK(choose(opening, plan, 1, kMany) == Starts{0, 1, 3});
  plan.scale = 0.5;
  dfa::Opening other;
  REQUIRE(choose(other, plan, 1, 1) == Starts{0});
  const std::vector<dfa::Surprise> surprises = other.answer(plan, {0.5});  // all that there was
  CHECK(surprises[0].squared == doctest::Approx(0.04));
}

TEST_CASE("a texture tells of its other turn, and of others what they have in common") {
  dfa::Plan plan = expecting({0.5, 0.6, 0.9, 0.9, 0.9, 0.9, 0.7});  // the last is the first turned over
  plan.starts[6].outlook.bond = 0.8;
  dfa::Opening opening;
  REQUIRE(choose(opening, plan, 2, 2) == Starts{0, 1});
  const std::vector<dfa::Surprise> first = opening.answer(plan, {0.16, 0.36});
  CHECK(first[0].squared == doctest::Approx(0.01));
  CHECK(first[0].partners == 0.0);
  // In common: (-0.1 + 0) / 3. The first was 0.1 - 1/30 below that, so 0.7 - 1/30 - 0.8 (0.1 - 1/30) is expected.
  const double common = -0.1 / 3.0;
  const double expected = 0.7 + common + 0.8 * (-0.1 - common);
  REQUIRE(expected > 0.4);
  CHECK(choose(opening, plan, 1, 1).empty());
  plan.starts[6].outlook.variance = (expected - 0.4) * (expected - 0.4) * 1.01;
  REQUIRE(choose(opening, plan, 1, 1) == Starts{6});
  const std::vector<dfa::Surprise> second = opening.answer(plan, {0.25});
  CHECK(second[0].squared == doctest::Approx((0.5 - expected) * (0.5 - expected)));
  CHECK(second[0].shared == doctest::Approx((-0.1 - common) * (0.5 - 0.7 - common)));
  CHECK(second[0].partners == doctest::Approx((-0.1 - common) * (-0.1 - common)));
}

TEST_CASE("perturbations of other images tell nothing of textures") {
  dfa::Plan plan = expecting({0.5, 0.7});
  plan.starts[0].signs = std::make_shared<const dfa::Signs>(1, 0);
  dfa::Opening opening;
  REQUIRE(choose(opening, plan, 1, 1) == Starts{0});
  opening.answer(plan, {0.64});  // 0.3 more than expected, and the texture is not
  CHECK(choose(opening, plan, 1, 1) == Starts{1});
}

TEST_CASE("what is left counts up to a bound, and answers are kept") {
  CHECK(dfa::root_left(0.25) == 0.5);
  CHECK(dfa::root_left(-1.0) == 0.0);
  CHECK(dfa::root_left(kForEver) == std::sqrt(1.5));
  const dfa::Plan plan = dfa::plan_alone(4);
  dfa::Opening opening;
  choose(opening, plan, 2, 2);
  opening.answer(plan, {0.25, 9.0});
  dfa::Opening loaded;
  states::copy(opening, loaded);
  CHECK(loaded.num_answered() == 2);
  CHECK(choose(loaded, plan, 1, kMany) == choose(opening, plan, 1, kMany));
  loaded.check(plan);
  CHECK_THROWS_WITH_AS(loaded.check(dfa::plan_alone(1)),
                       "saved state holds answers of starts that its plan does not have", std::invalid_argument);
}
