#include <doctest/doctest.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <stdexcept>
#include <vector>

#include "dfa/search/lesson.hpp"
#include "dfa/search/plan.hpp"
#include "search/searches.hpp"
#include "support.hpp"

using namespace searches;

namespace {

bool has_found(const dfa::Racos& search) { return search.lesson().found != nullptr; }

std::size_t num_differences(const Image& a, const Image& b) {
  std::size_t count = 0;
  for (std::size_t p = 0; p < a.size(); ++p) {
    count += a[p] != b[p] ? 1 : 0;
  }
  return count;
}

}  // namespace

TEST_CASE("the starts go on after iteration 0, in their order, and beside the first windows") {
  for (const dfa::Config& config : textured_configs()) {
    dfa::Racos search = make(config);
    const std::uint32_t num_starts = config.starts;
    std::vector<Image> all;
    while (all.size() < num_starts + 3 * config.samples) {
      // The best of all before, from which windows go on where there is one positive.
      const support::Whole best = all.empty()
                                      ? support::Whole()
                                      : support::whole_of(search.population(), search.population()[0], kShape.size());
      for (const Image& image : run_iteration(search)) {
        if (all.size() < num_starts) {
          dfa::Rectangle rectangle;
          dfa::weave_start(kShape, static_cast<std::uint32_t>(all.size()), rectangle);
          Image expected(kShape.size());
          rectangle.paint(search.space(), expected.data());
          CHECK(image == expected);
        } else if (config.positives == 1) {
          CHECK(num_differences(image, support::image_of(search.space(), best)) <= kShape.channels);
        }
        all.push_back(image);
      }
    }
  }
}

TEST_CASE("a search teaches what its starts and its windows brought, of its first 200 candidates") {
  for (const dfa::Config& config : textured_configs()) {
    dfa::Plan plan = dfa::plan_alone(config.starts);
    plan.scale = 4.0;
    for (dfa::PlannedStart& start : plan.starts) {
      start.entry += 100;
    }
    dfa::Stream stream = support::numbers(1);
    dfa::Racos search(config, kShape, support::random_ball(kShape.size(), 20, config.domain, stream), 9, 3, plan);
    std::vector<double> degrees;
    std::uint64_t in_lesson = 0;
    while (degrees.size() < 260) {
      const bool is_lesson = degrees.size() < dfa::Lesson::kCandidates;
      for (const Image& image : run_iteration(search)) {
        degrees.push_back(degree_of(image));
      }
      in_lesson = is_lesson ? degrees.size() : in_lesson;
      const dfa::Lesson& lesson = search.lesson();
      REQUIRE(lesson.trials.size() == std::min<std::size_t>(in_lesson, config.starts));
      REQUIRE(lesson.num_searches == (in_lesson > config.starts ? 1 : 0));
      REQUIRE(lesson.num_windows == in_lesson - lesson.trials.size());
      REQUIRE(lesson.gains.kinds[0].count + lesson.gains.kinds[1].count == static_cast<double>(lesson.num_windows));
    }
    for (std::uint32_t i = 0; i < config.starts; ++i) {
      CHECK(search.lesson().trials[i].entry == 100 + i);
      CHECK(search.lesson().trials[i].ratio == degrees[i] / 4.0);
    }
    CHECK(search.lesson().gains.kinds[0].sum + search.lesson().gains.kinds[1].sum > 0.0);
    CHECK_FALSE(has_found(search));
  }
}

TEST_CASE("the first adversarial candidate is taught as signs, unless it is a start or comes late") {
  for (const dfa::Config& config : textured_configs()) {
    dfa::Scratch scratch;
    for (const std::uint64_t hit : {std::uint64_t{0}, std::uint64_t{config.starts} - 1, std::uint64_t{config.starts},
                                    std::uint64_t{40}, std::uint64_t{230}}) {
      dfa::Racos search = make(config);
      std::uint64_t birth = 0;
      bool is_hit = false;
      while (birth < 250) {
        const std::uint64_t first = birth;
        const std::uint32_t size = search.iteration_size();
        for (std::uint32_t i = 0; i < size; ++i, ++birth) {
          ask(search, i);
          search.tell(i, birth == hit ? 0.0 : 1.0 + static_cast<double>(birth % 7));
        }
        search.advance(scratch);
        if (hit >= first && hit < birth) {
          is_hit = true;
          const bool is_taught = hit >= config.starts && first < dfa::Lesson::kCandidates;
          REQUIRE(has_found(search) == is_taught);
          if (is_taught) {
            const dfa::DenseVector vector = support::dense(
                search.space(), support::whole_of(search.population(), search.population()[0], kShape.size()));
            CHECK(*search.lesson().found == dfa::signs_of(vector));
            CHECK(search.lesson().trials.size() == config.starts);
          }
          search = dfa::Racos::load(config, kShape, search.save());
        }
      }
      CHECK(is_hit);
      CHECK(has_found(search) == (hit >= config.starts && hit < dfa::Lesson::kCandidates));
    }
  }
}

TEST_CASE("a lesson handed over in parts is the same lesson, and its hit is taught once") {
  for (const dfa::Config& config : textured_configs()) {
    dfa::Scratch scratch;
    dfa::Racos whole = make(config);
    dfa::Racos parted = make(config);
    std::size_t num_trials = 0;
    std::uint64_t num_searches = 0;
    std::uint64_t num_windows = 0;
    int num_found = 0;
    for (std::uint64_t birth = 0; birth < 100;) {
      const std::uint32_t size = whole.iteration_size();
      for (std::uint32_t i = 0; i < size; ++i, ++birth) {
        // Again and again, once it has descended for a while.
        const double degree = birth >= 40 && birth % 9 == 0 ? 0.0 : 1.0 + static_cast<double>(birth % 7);
        for (dfa::Racos* search : {&whole, &parted}) {
          ask(*search, i);
          search->tell(i, degree);
        }
      }
      whole.advance(scratch);
      parted.advance(scratch);
      parted = dfa::Racos::load(config, kShape, parted.save());
      const dfa::Lesson part = parted.take_lesson();
      CHECK(parted.lesson().trials.empty());
      num_trials += part.trials.size();
      num_searches += part.num_searches;
      num_windows += part.num_windows;
      num_found += part.found ? 1 : 0;
      if (part.found) {
        CHECK(*part.found == *whole.lesson().found);
      }
    }
    CHECK(num_found == 1);
    CHECK(num_searches == 1);
    CHECK(num_trials == whole.lesson().trials.size());
    CHECK(num_windows == whole.lesson().num_windows);
  }
}

TEST_CASE("a search begins with the starts and the gains of its plan, which must fit") {
  dfa::Config config = textured_configs().front();
  dfa::Stream stream = support::numbers(1);
  const dfa::Space space = support::random_ball(kShape.size(), 20, config.domain, stream);
  const support::Whole other = support::random_whole(space, stream);
  dfa::Plan plan = dfa::plan_alone(config.starts);
  plan.starts.insert(plan.starts.begin() + 1,
                     {40, 0, std::make_shared<const dfa::Signs>(dfa::signs_of(support::dense(space, other)))});
  plan.starts[0].texture = 5;
  plan.gains.add(1, 7.0);
  dfa::Racos search(config, kShape, space, 9, 3, plan);
  dfa::Rectangle rectangle;
  dfa::weave_start(kShape, 5, rectangle);
  Image expected(kShape.size());
  rectangle.paint(space, expected.data());
  CHECK(ask(search, 0) == expected);
  for (std::uint32_t p = 0; p < expected.size(); ++p) {
    expected[p] = space.pixel(p, other[p] > 0 ? space.bounds(p).high : space.bounds(p).low);
  }
  CHECK(ask(search, 1) == expected);
  for (std::uint32_t i = 0; i < search.iteration_size(); ++i) {
    ask(search, i);
    search.tell(i, 1.0);
  }
  const dfa::Racos loaded = dfa::Racos::load(config, kShape, search.save());
  CHECK(loaded.save() == search.save());

  dfa::Plan few = dfa::plan_alone(config.population() - 1);
  CHECK_THROWS_WITH_AS(dfa::Racos(config, kShape, space, 9, 3, few), "a plan must hold at least 2 starts, got 1",
                       std::invalid_argument);
  plan.starts[1].signs = std::make_shared<const dfa::Signs>(2, 0);
  CHECK_THROWS_WITH_AS(dfa::Racos(config, kShape, space, 9, 3, plan), "a plan of another image shape",
                       std::invalid_argument);
}
