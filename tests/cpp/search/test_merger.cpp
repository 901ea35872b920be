#include <doctest/doctest.h>

#include <cstdint>
#include <limits>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include "dfa/search/merger.hpp"
#include "search/searches.hpp"
#include "states.hpp"
#include "support.hpp"

using namespace searches;
using states::packed;
using states::with_part;
using support::Whole;

namespace {

dfa::Config config_of(std::uint32_t positives = 1) {
  dfa::Config config = textured_configs().front();
  config.positives = positives;
  config.improvements = 4.0;
  return config;
}

// A window at (row, column), `side` pixels wide, high or low throughout.
dfa::Proposal window(std::uint32_t row, std::uint32_t column, std::uint32_t side, bool is_high,
                     std::size_t parent = 0) {
  dfa::Proposal proposal;
  proposal.parent = parent;
  dfa::place(kShape, row, column, side, side, proposal.rectangle);
  proposal.rectangle.picks_high.assign(proposal.rectangle.length, is_high ? 0xff : 0);
  return proposal;
}

// A population of starts that are 0 throughout, the best first.
struct Scene {
  explicit Scene(std::uint32_t positives = 1)
      : space(Image(kShape.size(), 100), std::uint8_t{5}, dfa::Domain::kValid), population(config_of(positives)) {
    std::vector<dfa::DenseVector> wholes(positives + 1, support::dense(space, Whole(kShape.size(), 0)));
    std::vector<dfa::Arrival> arrivals;
    for (std::size_t i = 0; i < wholes.size(); ++i) {
      arrivals.push_back({10.0 + static_cast<double>(i), i, &wholes[i], 0, nullptr});
    }
    population.merge(space, arrivals);
  }

  // What is merged where `proposals` have these degrees, the first of which is the best member's.
  dfa::Merger merge(const std::vector<std::pair<dfa::Proposal, double>>& proposals) {
    const dfa::Proposal& best = proposals.front().first;
    population.merge(space, {{proposals.front().second, 50, nullptr, best.parent, &best.edits,
                              best.rectangle.is_empty() ? nullptr : &best.rectangle}});
    std::vector<dfa::Merger::Improvement> improvements;
    for (const auto& [proposal, degree] : proposals) {
      improvements.push_back({degree, &proposal});
    }
    dfa::Merger merger;
    merger.gather(space, population, {}, &best, improvements);
    return merger;
  }

  // Value of the candidate at (row, column), of its first channel.
  std::int32_t value(const dfa::Merger& merger, std::uint32_t row, std::uint32_t column) const {
    const dfa::DenseVector& base = population.family(population[0]).base;
    return dfa::value_at(base, merger.edits(), (row * kShape.width + column) * kShape.channels);
  }

  dfa::Space space;
  dfa::Population population;
};

}  // namespace

TEST_CASE("what improved is put together, the better on top and the best above all") {
  Scene scene;
  const dfa::Merger merger =
      scene.merge({{window(0, 0, 1, true), 1.0}, {window(0, 0, 2, false), 3.0}, {window(1, 1, 2, true), 2.0}});
  CHECK(scene.value(merger, 0, 0) == 5);
  CHECK(scene.value(merger, 0, 1) == -5);
  CHECK(scene.value(merger, 1, 0) == -5);
  CHECK(scene.value(merger, 1, 1) == 5);  // of both others, the better
  CHECK(scene.value(merger, 2, 2) == 5);
  CHECK(scene.value(merger, 3, 0) == 0);
  for (const dfa::Edit& edit : merger.edits()) {
    CHECK(edit.coordinate >= kShape.channels);  // the best member has its own window
  }
}

TEST_CASE("windows that raised the degree by no less than the mean change are turned over, the worst last") {
  const std::vector<dfa::Proposal> windows{window(0, 0, 1, true), window(1, 0, 1, false), window(2, 0, 1, true),
                                           window(3, 0, 1, true)};
  const auto turned = dfa::Merger::turned_over(
      {{8.0, &windows[0]}, {5.0, &windows[1]}, {-4.0, &windows[2]}, {3.0, &windows[3]}});  // 5 on average
  REQUIRE(turned.size() == 2);
  CHECK(turned[0].rectangle.first == windows[1].rectangle.first);
  CHECK(turned[0].rectangle.picks_high == std::vector<std::uint8_t>(kShape.channels, 0xff));
  CHECK(turned[1].rectangle.first == windows[0].rectangle.first);
  CHECK(turned[1].rectangle.picks_high == std::vector<std::uint8_t>(kShape.channels, 0));
  const double nan = std::numeric_limits<double>::quiet_NaN();
  CHECK(dfa::Merger::turned_over({{0.0, &windows[0]}}).empty());
  CHECK(dfa::Merger::turned_over({{nan, &windows[0]}, {1.0, &windows[1]}}).empty());
  CHECK(dfa::Merger::turned_over({}).empty());
}

TEST_CASE("windows turned over lie below all improvements, and are asked alone where there is none") {
  Scene scene;
  const std::vector<dfa::Proposal> turned{window(0, 0, 2, true), window(0, 1, 2, false)};
  std::vector<dfa::Merger::Improvement> improvements;
  dfa::Merger merger;
  merger.gather(scene.space, scene.population, turned, nullptr, improvements);
  CHECK(scene.value(merger, 0, 0) == 5);
  CHECK(scene.value(merger, 0, 1) == -5);  // of both, the last
  const dfa::Proposal best = window(0, 0, 1, false);
  scene.population.merge(scene.space, {{1.0, 50, nullptr, 0, &best.edits, &best.rectangle}});
  improvements.push_back({1.0, &best});
  merger.gather(scene.space, scene.population, turned, &best, improvements);
  CHECK(scene.value(merger, 0, 0) == -5);
  CHECK(scene.value(merger, 1, 0) == 5);
  CHECK(scene.value(merger, 0, 1) == -5);
}

TEST_CASE("of equals the later one lies on top") {
  Scene scene;
  const dfa::Merger merger =
      scene.merge({{window(3, 0, 1, true), 1.0}, {window(0, 0, 2, false), 2.0}, {window(1, 1, 2, true), 2.0}});
  CHECK(scene.value(merger, 0, 0) == -5);
  CHECK(scene.value(merger, 1, 1) == 5);
}

TEST_CASE("edits are put together as windows are") {
  Scene scene;
  dfa::Proposal edits;
  edits.edits = {{0, 3, 0, 103, 100}, {2, -4, 0, 96, 100}, {4, 1, 0, 101, 100}};
  const dfa::Merger merger = scene.merge({{window(0, 0, 1, true), 1.0}, {edits, 2.0}});
  CHECK(scene.value(merger, 0, 0) == 5);
  CHECK(scene.value(merger, 0, 1) == -4);
  CHECK(scene.value(merger, 0, 2) == 1);
}

TEST_CASE("what improved on another parent is left out") {
  Scene scene(2);
  const dfa::Merger merger =
      scene.merge({{window(0, 0, 1, true, 1), 1.0}, {window(0, 1, 1, true, 0), 2.0}, {window(0, 2, 1, true, 1), 3.0}});
  CHECK(scene.value(merger, 0, 1) == 0);
  CHECK(scene.value(merger, 0, 2) == 5);
}

TEST_CASE("there is nothing to merge where the best member holds it all") {
  Scene scene;
  CHECK(scene.merge({{window(0, 0, 2, true), 1.0}}).is_empty());
  CHECK(scene.merge({{window(0, 0, 2, true), 1.0}, {window(0, 1, 1, false), 2.0}}).is_empty());
  CHECK(scene.merge({{window(0, 0, 2, true), 1.0}, {window(0, 0, 2, true), 1.0}}).is_empty());
}

TEST_CASE("a merger is asked beside the windows, and is none of them") {
  dfa::Config config = config_of();
  config.placements = 2;
  dfa::Racos search = make(config);
  while (search.population().size() == 0 || search.lesson().trials.size() < config.starts) {
    run_iteration(search);
  }
  REQUIRE(search.iteration_size() == 4);  // of windows that are all taken to improve
  dfa::Scratch scratch;
  double best = search.population()[0].degree;
  const auto run = [&](const std::vector<std::uint32_t>& improving) {
    const std::uint32_t size = search.iteration_size();
    for (std::uint32_t i = 0; i < size; ++i) {
      ask(search, i);
      search.tell(i, best + 1.0);
    }
    for (const std::uint32_t i : improving) {
      search.retract(i);
      search.tell(i, best -= 1.0);
    }
    search.advance(scratch);
  };
  const auto covered = [&] {
    double sum = 0.0;
    for (const double cell : search.coverage().cells()) {
      sum += cell;
    }
    return sum;
  };
  run({0, 1, 2, 3});
  REQUIRE(search.iteration_size() == 4 * 6 / 6 + 1);
  const double covered_before = covered();
  const std::uint64_t windows_before = search.lesson().num_windows;
  const dfa::Gain plain = search.lesson().gains.kinds[0];
  const dfa::Gain textured = search.lesson().gains.kinds[1];
  run({0});
  CHECK(covered() - covered_before == doctest::Approx(4.0));  // windows are one pixel
  CHECK(search.lesson().num_windows - windows_before == 5);
  CHECK(search.lesson().gains.kinds[0].count + search.lesson().gains.kinds[1].count ==
        plain.count + textured.count + 4.0);
  CHECK(search.lesson().gains.kinds[0].sum + search.lesson().gains.kinds[1].sum == plain.sum + textured.sum);
  CHECK(search.iteration_size() == 4 * 10 / 6);  // its own success neither counts nor is merged with itself
}

TEST_CASE("a merger that cannot be is refused") {
  const dfa::Config config = config_of();
  dfa::Config without = config;
  without.improvements = 0.0;
  const std::string one = packed(dfa::Edits{{3, 1, 0, 0, 0}});
  const auto check_refused = [](const dfa::Config& of, const std::string& state, const std::string& merger,
                                const char* message) {
    CHECK_THROWS_WITH_AS(dfa::Racos::load(of, kShape, with_part(state, "search", "merger", merger)), message,
                         std::invalid_argument);
  };
  check_refused(config, make(config).save(), one, "saved state holds a merger of nothing");
  dfa::Racos search = make(config);
  dfa::Racos slow = make(without);
  for (int iteration = 0; iteration < 14; ++iteration) {
    run_iteration(search);
    run_iteration(slow);
  }
  check_refused(without, slow.save(), one, "saved state holds a merger of nothing");
  const std::string state = search.save();
  check_refused(config, state, packed(dfa::Edits{{24, 1, 0, 0, 0}}),
                "saved state holds a coordinate outside the image");
  check_refused(config, state, packed(dfa::Edits{{4, 1, 0, 0, 0}, {3, 1, 0, 0, 0}}),
                "saved state holds edits out of order");
  check_refused(config, state, packed(dfa::Edits{{3, 300, 0, 0, 0}}),
                "saved state holds a perturbation outside its bounds");
}
