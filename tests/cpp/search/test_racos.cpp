#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <stdexcept>
#include <string>
#include <vector>

#include "search/searches.hpp"
#include "support.hpp"

using namespace searches;

TEST_CASE("an iteration is s + k candidates at first, then s, and ends when all are told") {
  dfa::Scratch scratch;
  for (const dfa::Config& config : configs()) {
    dfa::Racos search = make(config);
    CHECK(search.image_id() == 3);
    CHECK(search.population().size() == 0);
    for (std::uint32_t iteration = 0; iteration < 5; ++iteration) {
      CHECK(search.iteration() == iteration);
      const std::uint32_t size = iteration == 0 ? 5 : 3;
      REQUIRE(search.iteration_size() == size);
      for (std::uint32_t i = size; i > 0; --i) {
        CHECK_FALSE(search.is_complete());
        CHECK_THROWS_AS(search.advance(scratch), std::logic_error);
        search.tell(i - 1, degree_of((ask(search, i - 1))));
      }
      CHECK(search.is_complete());
      search.advance(scratch);
      CHECK(search.population().size() == 5);
    }
  }
}

TEST_CASE("the population holds the best candidates that were asked, as they were asked") {
  for (const dfa::Config& config : configs()) {
    for (const std::uint8_t radius : {std::uint8_t{0}, std::uint8_t{20}, std::uint8_t{255}}) {
      dfa::Racos search = make(config, radius);
      std::vector<Image> all;
      std::vector<double> degrees;
      for (int iteration = 0; iteration < 15; ++iteration) {
        for (const Image& image : run_iteration(search)) {
          all.push_back(image);
          degrees.push_back(degree_of(image));
        }
        const dfa::Population& population = search.population();
        std::vector<double> best = degrees;
        std::sort(best.begin(), best.end());
        for (std::size_t rank = 0; rank < population.size(); ++rank) {
          const dfa::Member& member = population[rank];
          REQUIRE(member.birth < all.size());
          CHECK(member.degree == best[rank]);
          CHECK(member.degree == degrees[member.birth]);
          if (member.family != dfa::Member::kNoVector) {
            const support::Whole whole = support::whole_of(population, member, kShape.size());
            CHECK(support::image_of(search.space(), whole) == all[member.birth]);
          }
        }
      }
    }
  }
}

TEST_CASE("asking again, in any order, gives the same candidate") {
  for (const dfa::Config& config : configs()) {
    dfa::Racos search = make(config);
    for (int iteration = 0; iteration < 3; ++iteration) {
      const std::uint32_t size = search.iteration_size();
      std::vector<Image> first(size);
      for (std::uint32_t i = size; i > 0; --i) {
        first[i - 1] = ask(search, i - 1);
      }
      for (std::uint32_t i = 0; i < size; ++i) {
        CHECK(ask(search, i) == first[i]);
        search.tell(i, degree_of(first[i]));
        CHECK(ask(search, i) == first[i]);
      }
      dfa::Scratch scratch;
      search.advance(scratch);
    }
  }
}

TEST_CASE("what cannot be told is refused and changes nothing") {
  dfa::Racos search = make(dfa::Config());
  run_iteration(search);
  ask(search, 1);
  const std::string before = search.save();
  CHECK_THROWS_WITH_AS(search.tell(0, 1.0), "told before asked: candidate 0 of iteration 1 (which has 3)",
                       std::logic_error);
  CHECK_THROWS_WITH_AS(search.tell(3, 1.0), "told before asked: candidate 3 of iteration 1 (which has 3)",
                       std::logic_error);
  CHECK_THROWS_WITH_AS(search.tell(1, std::nan("")),
                       "a degree must be a number, got NaN for candidate 1 of iteration 1 (which has 3)",
                       std::invalid_argument);
  Image image(kShape.size());
  dfa::Scratch scratch;
  CHECK_THROWS_WITH_AS(search.ask(3, scratch, image.data()), "no candidate 3 of iteration 1 (which has 3)",
                       std::invalid_argument);
  CHECK(search.save() == before);
  search.tell(1, 1.0);
  const std::string told = search.save();
  CHECK(told != before);
  CHECK_THROWS_WITH_AS(search.tell(1, 1.0), "told twice: candidate 1 of iteration 1 (which has 3)", std::logic_error);
  CHECK(search.save() == told);
  search.retract(1);
  CHECK(search.save() == before);
  search.tell(1, 2.0);
}

TEST_CASE("a candidate is claimed once until it is released") {
  dfa::Racos search = make(dfa::Config());
  CHECK(search.claim(2));
  CHECK_FALSE(search.claim(2));
  CHECK(search.claim(1));
  search.release(2);
  CHECK(search.claim(2));
}

TEST_CASE("an image of another size, and a space too large for its draws, are refused") {
  const dfa::Space space({1, 2, 3}, 9, dfa::Domain::kBall);
  dfa::Config config;
  CHECK_THROWS_WITH_AS(dfa::Racos(config, kShape, space, 1, 1), "expected an image of 24 coordinates, got 3",
                       std::invalid_argument);
  config.samples = 1U << 20U;
  const dfa::ImageShape large{64, 64, 1};
  CHECK_THROWS_AS(dfa::Racos(config, large, dfa::Space(Image(4096, 0), 1, dfa::Domain::kBall), 1, 1),
                  std::invalid_argument);
  config.samples = 0;
  CHECK_THROWS_AS(make(config), std::invalid_argument);
}

TEST_CASE("a large population is compared with what the last iteration knew, as if all were compared anew") {
  // 90,000 pairs an iteration: a search through all of them for each would take a minute.
  dfa::Config config;
  config.samples = 300;
  config.positives = 300;
  dfa::Racos search = make(config, 120);
  for (int iteration = 0; iteration < 8; ++iteration) {
    run_iteration(search);
    dfa::Racos fresh = dfa::Racos::load(config, kShape, search.save());  // which knows nothing
    for (const std::uint32_t candidate : {0U, 1U, 150U, 299U}) {
      CHECK(ask(search, candidate) == ask(fresh, candidate));
    }
  }
  CHECK(search.population()[0].birth >= 600);
}
