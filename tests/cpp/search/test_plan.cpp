#include <doctest/doctest.h>

#include <cmath>
#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <limits>
#include <memory>
#include <stdexcept>
#include <utility>
#include <vector>

#include "dfa/search/plan.hpp"
#include "search/searches.hpp"
#include "states.hpp"

using namespace searches;

namespace {

dfa::Plan planned(std::initializer_list<double> rates) {
  dfa::Plan plan = dfa::plan_alone(rates.size());
  std::size_t i = 0;
  for (const double rate : rates) {
    plan.starts[i++].rate = rate;
  }
  return plan;
}

}  // namespace

TEST_CASE("the starts after iteration 0 go in the groups of their plan, and with windows wished for only") {
  dfa::Config config = textured_configs().front();
  config.starts = 7;
  dfa::Stream stream = support::numbers(1);
  const dfa::Space space = support::random_ball(kShape.size(), 20, config.domain, stream);
  const dfa::Plan plan = planned({0.9, 0.9, 0.1, 0.7, 0.3, 0.2, 0.1});
  const auto run = [&] {
    dfa::Racos search(config, kShape, space, 9, 3, plan);
    std::vector<std::uint32_t> sizes;
    for (std::uint32_t told = 0; told < 7; told += sizes.back()) {
      sizes.push_back(search.iteration_size());
      run_iteration(search);
      search = dfa::Racos::load(config, kShape, search.save());
    }
    return sizes;
  };
  CHECK(run() == std::vector<std::uint32_t>{2, 1, 1, 1, 1, 1});
  config.improvements = 1.0;
  CHECK(run() == std::vector<std::uint32_t>{2, 2, 1, 2});
}

TEST_CASE("a rate that cannot be is refused") {
  for (const double rate : {-0.1, std::numeric_limits<double>::infinity(), std::numeric_limits<double>::quiet_NaN()}) {
    dfa::Plan plan;
    CHECK_THROWS_WITH_AS(states::copy(planned({0.1, rate}), plan), "saved state holds a rate that cannot be",
                         std::invalid_argument);
  }
}

TEST_CASE("where degrees say little perturbations and the first twelve textures are asked, whatever is forecast") {
  dfa::Plan plan = dfa::plan_alone(dfa::kNumTexturedStarts);
  plan.patience = 2.0;
  std::swap(plan.starts[0], plan.starts[15]);
  plan.starts[17].signs = std::make_shared<const dfa::Signs>(1, 0);
  plan.ask_the_first();
  std::vector<std::uint32_t> entries;
  for (const dfa::PlannedStart& start : plan.starts) {
    entries.push_back(start.entry);
  }
  CHECK(entries == std::vector<std::uint32_t>{1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 0, 17});
  CHECK(std::isinf(plan.patience));
}

TEST_CASE("an outlook, a texture, a patience or a bond that cannot be is refused") {
  const auto check_refused = [](const dfa::Plan& plan, const char* message) {
    dfa::Plan other;
    CHECK_THROWS_WITH_AS(states::copy(plan, other), message, std::invalid_argument);
  };
  const double nan = std::numeric_limits<double>::quiet_NaN();
  for (const dfa::Outlook& outlook :
       {dfa::Outlook{-0.1, 1.0, 0.5}, dfa::Outlook{1.3, 1.0, 0.5}, dfa::Outlook{nan, 1.0, 0.5},
        dfa::Outlook{0.5, 0.0, 0.5}, dfa::Outlook{0.5, nan, 0.5}, dfa::Outlook{0.5, 1.0, -0.1},
        dfa::Outlook{0.5, 1.0, 1.1}, dfa::Outlook{0.5, 1.0, nan}}) {
    dfa::Plan plan = dfa::plan_alone(2);
    plan.starts[1].outlook = outlook;
    check_refused(plan, "saved state holds an outlook that cannot be");
  }
  dfa::Plan plan = dfa::plan_alone(2);
  plan.patience = nan;
  check_refused(plan, "saved state holds a patience that cannot be");
  plan = dfa::plan_alone(2);
  plan.bond = nan;
  check_refused(plan, "saved state holds a bond that cannot be");
  plan = dfa::plan_alone(2);
  plan.starts[1].texture = dfa::kNumTexturedStarts;
  check_refused(plan, "saved state holds a texture that there is not");
}

TEST_CASE("a search on rays asks the first twelve textures, whatever its plan says") {
  dfa::Config config = textured_configs().front();
  config.shape = dfa::Shape::kRay;
  config.improvements = 0.0;
  config.placements = 1;
  config.starts = 12;
  dfa::Stream stream = support::numbers(1);
  const dfa::Space space = support::random_ball(kShape.size(), 20, config.domain, stream);
  dfa::Plan plan = dfa::plan_alone(dfa::kNumTexturedStarts);
  plan.patience = 0.0;
  dfa::Racos search(config, kShape, space, 9, 3, plan);
  for (int i = 0; i < 20; ++i) {
    run_iteration(search);
  }
  CHECK(search.lesson().trials.size() == 12);
}
