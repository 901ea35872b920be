#include <doctest/doctest.h>

#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <limits>
#include <stdexcept>
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

TEST_CASE("starts go together while few successes are expected before the last of them") {
  const dfa::Plan alone = dfa::plan_alone(12);
  CHECK(alone.group_size(0) == 3);
  CHECK(alone.group_size(3) == 3);
  CHECK(alone.group_size(10) == 2);
  CHECK(planned({0.0, 0.0, 0.01, 0.0}).group_size(0) == 4);
  CHECK(planned({0.9, 0.1, 0.1}).group_size(0) == 1);
  CHECK(planned({0.9, 0.1, 0.1}).group_size(1) == 2);
  CHECK(planned({0.25, 0.05, 0.1}).group_size(0) == 2);
  CHECK(planned({0.25, 0.03, 0.9, 0.1}).group_size(0) == 3);
}

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
