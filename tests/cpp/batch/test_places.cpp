#include <doctest/doctest.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include "dfa/batch/places.hpp"
#include "states.hpp"
#include "support.hpp"
#include "window.hpp"

using states::lengthened;
using states::packed;
using states::part;
using states::patched;
using states::sealed;
using windows::budget;
using windows::kNever;
using windows::Window;

namespace {

using Images = std::vector<std::int64_t>;
using Finished = std::vector<std::size_t>;

}  // namespace

TEST_CASE("a batch holds the candidates of all places in turn, and a place cut off goes first in the next") {
  Window window(3, 7, budget(100));
  CHECK(window.propose().empty());
  CHECK(window.tell({}).empty());
  window.admit(0, 5);
  window.admit(2, 6);
  CHECK(window.propose() == Images{5, 5, 5, 5, 5, 6, 6});  // s + k = 5 candidates each at the start
  CHECK(window.tell(std::vector<double>(7, 1.0)).empty());
  CHECK(window.propose() == Images{6, 6, 6, 5, 5, 5});  // the rest of the start, and an iteration of s = 3
  CHECK(window.tell(std::vector<double>(6, 1.0)).empty());
  CHECK(window.places.iteration(0) == 2);
  CHECK(window.places.iteration(2) == 1);
  CHECK(window.places.seconds(0) == 4.0);
  CHECK(window.places.seconds(2) == 2.5);
}

TEST_CASE(
    "the first hit is kept with its image and its place among the queries, and ends the search with its iteration") {
  Window window(2, 100, budget(100));
  window.admit(0, 1);
  window.admit(1, 2);
  window.propose();
  CHECK(window.tell({4, 5, 3, 3, 2, 1, 1, 1, 1, 1}).empty());
  CHECK(window.places.hit(0).empty());
  window.propose();
  const std::vector<std::uint8_t> sent = window.images;
  CHECK(window.tell({7, 0, 0, 9, 0.5, 9}) == Finished{0});
  CHECK(window.places.hit(0) == std::vector<std::uint8_t>(sent.begin() + 4, sent.begin() + 8));
  const std::vector<dfa::Improvement>& trace = window.places.trace(0);
  REQUIRE(trace.size() == 4);
  const std::vector<std::pair<std::uint64_t, double>> expected{{1, 4.0}, {3, 3.0}, {5, 2.0}, {7, 0.0}};
  for (std::size_t i = 0; i < trace.size(); ++i) {
    CHECK(trace[i].query == expected[i].first);
    CHECK(trace[i].degree == expected[i].second);
  }
  CHECK(window.places.trace(1).back().query == 7);
  CHECK(window.propose() == Images{2, 2, 2});  // a search that ended is asked no more
  window.tell({1, 1, 1});
  window.places.dismiss(0);
  CHECK(window.batch.size() == 1);
  window.admit(0, 3);
  CHECK(window.places.trace(0).empty());
  CHECK(window.places.hit(0).empty());
  CHECK(window.places.seconds(0) == 0.0);
}

TEST_CASE("the budget cuts the last iteration short, and is never exceeded") {
  Window window(1, 100, budget(10));
  window.admit(0, 1);
  CHECK(window.propose().size() == 5);
  CHECK(window.tell(std::vector<double>(5, 1.0)).empty());
  CHECK(window.propose().size() == 3);
  CHECK(window.tell(std::vector<double>(3, 1.0)).empty());
  CHECK(window.propose().size() == 2);
  CHECK(window.tell(std::vector<double>(2, 1.0)) == Finished{0});
  CHECK(window.propose().empty());
}

TEST_CASE("iterations and deadlines end a search") {
  Window window(2, 100, budget(1000, 1));
  window.admit(0, 1);
  window.propose();
  CHECK(window.tell(std::vector<double>(5, 1.0)).empty());
  window.propose();
  CHECK(window.tell(std::vector<double>(3, 1.0)) == Finished{0});
  CHECK(window.places.iteration(0) == 1);

  Window timed(2, 3, budget(1000));
  timed.admit(0, 1, 6.0);
  timed.propose();
  CHECK(timed.tell(std::vector<double>(3, 1.0), 7.0).empty());  // late, but in the middle of an iteration
  timed.propose();
  CHECK(timed.tell(std::vector<double>(2, 1.0), 6.0) == Finished{0});
}

TEST_CASE("a search is given up where more than nine tenths of its degree are left since half as many candidates") {
  dfa::Budget limits = budget(1000);
  limits.give_up_after = 16;
  const auto tell = [](Window& window, double degree) {
    const std::size_t number = window.propose().size();
    return window.tell(std::vector<double>(number, degree));
  };
  Window window(1, 100, limits);
  window.admit(0, 1);
  // 5 and then 3 at a time: looked at when 8, 17 and 32 are answered.
  for (const double degree : {9.0, 8.0, 7.9, 7.9}) {
    CHECK(tell(window, degree).empty());
  }
  SUBCASE("at the number asked for") {
    CHECK(tell(window, 7.3) == Finished{0});
    CHECK(window.places.is_at_rest(0));
    CHECK(window.places.spent(0) == 17);
    CHECK(window.propose().empty());
    // So it is found again, and nothing follows.
    const std::string state = window.places.save(0.0);
    Window loaded(1, 100, limits);
    loaded.places.load(state, 0.0);
    CHECK(loaded.places.is_at_rest(0));
    CHECK(loaded.propose().empty());
  }
  SUBCASE("or when that has doubled, whatever happened between and before the state was saved") {
    CHECK(tell(window, 7.1).empty());
    CHECK_FALSE(window.places.is_at_rest(0));
    for (int i = 0; i < 4; ++i) {
      CHECK(tell(window, 6.5).empty());
    }
    Window loaded(1, 100, limits);
    loaded.places.load(window.places.save(0.0), 0.0);
    CHECK(loaded.places.spent(0) == 29);
    CHECK(tell(loaded, 8.0) == Finished{0});
    CHECK(loaded.places.is_at_rest(0));
  }
  SUBCASE("not where it has found something, nor at its budget") {
    CHECK(tell(window, 0.0) == Finished{0});
    CHECK_FALSE(window.places.is_at_rest(0));
    limits.queries = 17;
    Window poor(1, 100, limits);
    poor.admit(0, 1);
    for (int i = 0; i < 4; ++i) {
      CHECK(tell(poor, 8.0).empty());
    }
    CHECK(tell(poor, 8.0) == Finished{0});
    CHECK_FALSE(poor.places.is_at_rest(0));
  }
}

TEST_CASE("an image may have a budget of its own") {
  dfa::Budget limits = budget(1000);
  limits.queries_of = {1000, 7};
  Window window(2, 100, limits);
  window.admit(0, 1);
  CHECK(window.propose().size() == 5);
  CHECK(window.tell(std::vector<double>(5, 1.0)).empty());
  CHECK(window.propose().size() == 2);
  CHECK(window.tell(std::vector<double>(2, 1.0)) == Finished{0});
  CHECK_THROWS_AS(window.admit(1, 2), std::invalid_argument);
  limits.queries_of = {1000, 4};
  CHECK_THROWS_AS(Window(1, 100, limits), std::invalid_argument);
  // One that is saved may be of an image that these know nothing of.
  Window other(1, 100, budget(1000));
  other.admit(0, 2);
  limits.queries_of = {9, 9};
  Window loaded(1, 100, limits);
  CHECK_THROWS_AS(loaded.places.load(other.places.save(0.0), 0.0), std::invalid_argument);
}

TEST_CASE("a search is forecast by what the last doubling of its candidates left") {
  dfa::Budget limits = budget(128);
  limits.give_up_after = 16;
  limits.forecast = 1.0;
  const auto tell = [](Window& window, double degree) {
    const std::size_t number = window.propose().size();
    return window.tell(std::vector<double>(number, degree));
  };
  // Looked at when 8 and 17 are answered, where 256 / 17 are 3.91 doublings: 3.91 / (1 + 3.91 * 0.85) is 0.904.
  for (const auto& [degree, is_over] : {std::pair{9.03, false}, std::pair{9.05, true}}) {
    Window window(1, 100, limits);
    window.admit(0, 1);
    for (const double each : {12.0, 10.0, 9.9, 9.9}) {
      CHECK(tell(window, each).empty());
    }
    CHECK(tell(window, degree).empty() == !is_over);
    CHECK(window.places.is_at_rest(0) == is_over);
  }
}

TEST_CASE("places are refused where they make no sense, and a refused tell changes nothing") {
  CHECK_THROWS_AS(Window(0, 1, budget(10)), std::invalid_argument);
  CHECK_THROWS_AS(Window(1, 0, budget(10)), std::invalid_argument);
  CHECK_THROWS_AS(Window(1, 1, budget(4)), std::invalid_argument);
  Window window(2, 100, budget(100));
  CHECK_THROWS_AS(window.admit(2, 0), std::invalid_argument);
  window.admit(0, 0);
  CHECK_THROWS_AS(window.admit(0, 0), std::logic_error);
  CHECK_THROWS_AS(window.places.dismiss(1), std::logic_error);
  window.propose();
  CHECK_THROWS_AS(window.places.dismiss(0), std::logic_error);
  std::vector<double> degrees(5, 1.0);
  degrees[4] = std::numeric_limits<double>::quiet_NaN();
  CHECK_THROWS_AS(window.tell(degrees), std::invalid_argument);
  CHECK(window.places.trace(0).empty());
  degrees[4] = 1.0;
  CHECK(window.tell(degrees).empty());
  CHECK(window.places.iteration(0) == 1);
}

TEST_CASE("saved places go on exactly as they would have, and choose again what was under way") {
  for (const std::size_t batch_size : {3U, 7U, 100U}) {
    for (int under_way = 0; under_way < 2; ++under_way) {
      for (int before = 0; before < 6; ++before) {
        Window window(3, batch_size, budget(40));
        window.admit(0, 5, 9.0);
        window.admit(2, 6);
        int told = 0;
        const auto degrees = [&told](std::size_t number) {
          std::vector<double> result(number);
          for (double& degree : result) {
            degree = 1.0 + (7 * ++told) % 13;
          }
          return result;
        };
        for (int i = 0; i < before; ++i) {
          window.tell(degrees(window.propose().size()));
        }
        if (under_way == 1) {
          window.propose();
        }
        const std::string state = window.places.save(2.0);
        Window resumed(3, batch_size, budget(40));
        resumed.places.load(state, 102.0);
        CHECK(resumed.places.save(102.0) == state);
        const int told_before = told;
        std::vector<Images> expected;
        std::vector<std::vector<std::uint8_t>> sent;
        std::vector<Finished> finished;
        for (int i = 0; i < 8; ++i) {
          if (under_way == 0 || i > 0) {
            expected.push_back(window.propose());
          } else {
            Images rows(window.places.num_rows());
            Images goals(rows.size());
            window.places.describe_rows(rows.data(), goals.data());
            expected.push_back(rows);
          }
          sent.push_back(window.images);
          finished.push_back(window.tell(degrees(expected.back().size()), i));
        }
        told = told_before;
        for (std::size_t i = 0; i < 8; ++i) {
          CHECK(resumed.propose() == expected[i]);
          const auto size = static_cast<std::ptrdiff_t>(4 * expected[i].size());
          CHECK(std::equal(sent[i].begin(), sent[i].begin() + size, resumed.images.begin()));
          CHECK(resumed.tell(degrees(expected[i].size()), 100.0 + static_cast<double>(i)) == finished[i]);
        }
        for (const std::size_t place : {0U, 2U}) {
          CHECK(resumed.places.answered(place) == window.places.answered(place));
          CHECK(resumed.places.seconds(place) == window.places.seconds(place));
          CHECK(resumed.places.trace(place).size() == window.places.trace(place).size());
          CHECK(resumed.places.trace(place).back().query == window.places.trace(place).back().query);
        }
      }
    }
  }
}

TEST_CASE("several batches may be under way, are told in their order, and come again as they were") {
  Window window(3, 4, budget(40));
  for (std::int64_t image = 0; image < 3; ++image) {
    window.admit(static_cast<std::size_t>(image), image);
  }
  CHECK(window.places.num_ready() == 15);
  CHECK(window.propose() == Images{0, 0, 0, 0});
  const std::vector<std::uint8_t> first = window.images;
  CHECK(window.propose() == Images{0, 1, 1, 1});
  const std::vector<std::uint8_t> second = window.images;
  CHECK(window.places.num_ready() == 7);
  CHECK(window.places.num_rows() == 4);
  Window resumed(3, 4, budget(40));
  resumed.places.load(window.places.save(0.0), 0.0);
  CHECK(resumed.places.num_again() == 2);
  CHECK(resumed.propose() == Images{0, 0, 0, 0});
  CHECK(resumed.images == first);
  CHECK(resumed.places.num_again() == 1);
  CHECK(resumed.places.save(0.0) == window.places.save(0.0));
  CHECK(resumed.propose() == Images{0, 1, 1, 1});
  CHECK(resumed.images == second);
  CHECK(resumed.places.num_again() == 0);
  for (Window* each : {&window, &resumed}) {
    CHECK(each->tell({9, 8, 7, 6}).empty());
    CHECK(each->places.answered(0) == 4);
    CHECK(each->tell({5, 9, 9, 9}).empty());
    CHECK(each->places.iteration(0) == 1);
    CHECK(each->places.trace(0).back().query == 5);
    // Those that are behind go first.
    CHECK(each->propose() == Images{1, 1, 2, 2});
    CHECK(each->propose() == Images{2, 2, 2, 0});
    CHECK(each->propose() == Images{0, 0});
    CHECK(each->propose().empty());
  }
}

TEST_CASE("who is admitted late is not behind those who were there before") {
  Window window(2, 5, budget(100));
  window.admit(0, 0);
  for (int i = 0; i < 3; ++i) {
    window.propose();
    window.tell(std::vector<double>(window.places.num_rows(), 1.0));
  }
  window.admit(1, 1);
  // Its start takes a batch of its own; after that they take turns.
  CHECK(window.propose() == Images{1, 1, 1, 1, 1});
  window.tell(std::vector<double>(5, 1.0));
  CHECK(window.propose() == Images{0, 0, 0, 1, 1});
}

TEST_CASE("batches that cannot have been under way are refused") {
  Window window(2, 4, budget(100));
  window.admit(0, 0);
  window.propose();
  const std::string state = window.places.save(0.0);
  // Capacity, tick, no curriculum, number of batches, rows of the first, and the place of each.
  const std::size_t rows = states::kHead + packed(std::string("places")).size() + 3 * 8 + 1;
  REQUIRE(state.substr(rows, 16) == packed(std::uint64_t{4}) + packed(std::uint64_t{0}));
  const auto check_refused = [](const std::string& bytes, std::size_t batch_size, const char* message) {
    Window empty(2, batch_size, budget(100));
    CHECK_THROWS_WITH_AS(empty.places.load(bytes, 0.0), message, std::invalid_argument);
    CHECK(empty.batch.size() == 0);
    CHECK(empty.places.num_again() == 0);
  };
  check_refused(state, 3, "saved places had batches of other sizes under way");
  const char* lacking = "saved places had rows under way that their searches do not have";
  check_refused(patched(state, rows + 8, packed(std::uint64_t{1})), 4, lacking);
  check_refused(patched(state, rows + 8, packed(std::uint64_t{2})), 4, lacking);
  std::string six = state;
  six.replace(rows, 8, packed(std::uint64_t{6})).insert(rows + 8, packed(std::uint64_t{0}) + packed(std::uint64_t{0}));
  check_refused(sealed(six), 9, lacking);
  std::string none = state;
  none.replace(rows, 8 + 4 * 8, packed(std::uint64_t{0}));
  check_refused(sealed(none), 4, "saved places had batches of other sizes under way");
}

TEST_CASE("places and a curriculum that know of different searches are refused together") {
  const auto window = [](dfa::Curriculum& curriculum, dfa::Batch& batch) {
    return dfa::Places(batch, &curriculum, 3, 100, budget(100));
  };
  std::vector<std::uint8_t> images(400);
  const std::vector<double> degrees(100, 1.0);
  for (const bool has_more : {false, true}) {
    dfa::Batch batch(dfa::Config(), {2, 2, 1}, 7, 1);
    dfa::Curriculum curriculum(4);
    dfa::Places places = window(curriculum, batch);
    for (std::int64_t image = 0; image < 2; ++image) {
      const dfa::Space space({9, 99, 199, 250}, 5, dfa::Domain::kBall);
      places.admit(static_cast<std::size_t>(image), batch.add(space, static_cast<std::uint32_t>(image)), 40 + image, 3,
                   image == 0 ? 0.0 : kNever);
    }
    places.propose(images.data());
    CHECK(places.tell(degrees.data(), 0.5, 1.0) == Finished{0});  // in time; the other goes on
    if (has_more) {
      curriculum.begin(50);
    }
    const std::string state = places.save(0.0);
    const auto load = [&](const std::string& bytes) {
      dfa::Batch other(dfa::Config(), {2, 2, 1}, 7, 1);
      dfa::Curriculum empty(4);
      window(empty, other).load(bytes, 0.0);
      CHECK(empty.num_awaited() == 1);
    };
    const char* message = "saved places hold other searches than those that their curriculum waits for";
    if (has_more) {
      CHECK_THROWS_WITH_AS(load(state), message, std::invalid_argument);
      continue;
    }
    load(state);
    // The second place: its image, goal, deadline and tick.
    const std::string image = packed(std::int64_t{41}) + packed(std::int64_t{3});
    const std::size_t place = state.rfind(image);
    REQUIRE(place != std::string::npos);
    REQUIRE(state.substr(place + 3 * 8, 8) == packed(std::uint64_t{1}));
    CHECK_THROWS_WITH_AS(load(patched(state, place, packed(std::int64_t{42}))), message, std::invalid_argument);
    CHECK_THROWS_WITH_AS(load(patched(state, place + 3 * 8, packed(std::uint64_t{2}))), message, std::invalid_argument);
  }
}

TEST_CASE("a hit that was not dealt with yet is saved with its image") {
  Window window(1, 2, budget(100));
  window.admit(0, 1);
  window.propose();
  const std::vector<std::uint8_t> sent = window.images;
  window.tell({0, 1});
  Window resumed(1, 2, budget(100));
  resumed.places.load(window.places.save(0.0), 0.0);
  CHECK(resumed.places.hit(0) == std::vector<std::uint8_t>(sent.begin(), sent.begin() + 4));
}

TEST_CASE("what is no state of these places is refused and changes nothing") {
  Window window(2, 100, budget(100));
  window.admit(0, 0);
  window.admit(1, 1);
  window.propose();
  window.tell(std::vector<double>(10, 1.0));
  const std::string state = window.places.save(0.0);
  CHECK_THROWS_AS(window.places.load(state, 0.0), std::logic_error);
  const std::string crowded =
      patched(state, states::kHead + packed(std::string("places")).size(), packed(std::uint64_t{dfa::kMostPlaces + 1}));
  CHECK_THROWS_WITH_AS(Window(2, 100, budget(100)).places.load(crowded, 0.0),
                       "saved state is of 1048577 places, which are too many", std::invalid_argument);
  Window empty(2, 100, budget(100));
  const auto check_refused = [&empty](const std::string& bytes, const char* message) {
    CHECK_THROWS_WITH_AS(empty.places.load(bytes, 0.0), message, std::invalid_argument);
    REQUIRE(empty.batch.size() == 0);
    REQUIRE_FALSE(empty.places.is_taken(0));
  };
  for (std::size_t size = 0; size < state.size(); ++size) {
    check_refused(state.substr(0, size), "saved state ends too early: it is truncated");
  }
  check_refused(state + "x", "saved state is longer than its contents");
  check_refused(lengthened(state, "x"), "saved state is longer than its contents");
  check_refused(window.batch.save(0), "not a saved state of places, but of a search");
  for (std::size_t at = states::kHead; at < state.size(); ++at) {
    std::string spoiled = state;
    spoiled[at] ^= 1;
    check_refused(spoiled, "saved state is damaged: its checksum does not match");
  }
  const std::size_t iteration = part(state, "place") + 4 * 8;
  const std::size_t size = iteration + 8;
  REQUIRE(state.substr(iteration, 8) == packed(std::uint64_t{1}));
  REQUIRE(state.substr(size, 4) == packed(std::uint32_t{3}));
  const char* nowhere = "saved places hold a search that is not where its place is";
  check_refused(patched(state, iteration, packed(std::uint64_t{2})), nowhere);
  check_refused(patched(state, size, packed(std::uint32_t{4})), nowhere);
  std::uint32_t num_told = 0;
  dfa::StateReader(state, size + 4, state.size()).field(num_told);
  REQUIRE(num_told < 3);
  for (std::uint32_t told = 0; told < 5; ++told) {
    if (told != num_told) {
      check_refused(patched(state, size + 4, packed(told)), nowhere);
    }
  }
  // After the queries and the best degree: looks at it, their number first, and whether it is at rest.
  const std::size_t looks = size + 2 * 4 + 2 * 8;
  const std::size_t is_at_rest = looks + 4 + 8;
  check_refused(patched(state, looks, packed(std::uint32_t{33})), "saved state holds a rest that cannot be");
  check_refused(patched(state, is_at_rest, packed(std::uint8_t{1})), "saved state holds a rest that cannot be");
  // After that the seconds, and a trace of one: the size of the hit.
  const std::size_t hit = is_at_rest + 1 + 8 + 8 + 16;
  const std::size_t length = part(state, "place") - 8;
  std::uint64_t place_size = 0;
  dfa::StateReader(state, length, state.size()).field(place_size);
  std::string odd = state;
  odd.replace(length, 8, packed(place_size + 1)).replace(hit, 8, packed(std::uint64_t{1})).insert(hit + 8, "x");
  check_refused(sealed(odd), "saved places hold an image of another size");
  empty.places.load(state, 0.0);
  CHECK(empty.places.save(0.0) == state);
}
