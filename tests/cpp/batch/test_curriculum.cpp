#include <doctest/doctest.h>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <set>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include "dfa/batch/curriculum.hpp"
#include "dfa/batch/places.hpp"
#include "states.hpp"
#include "support.hpp"

namespace {

constexpr std::size_t kSize = 70;
// As in curriculum.cpp.
constexpr std::uint64_t kNewCandidates = 64;

dfa::Lesson found(std::uint64_t word) {
  dfa::Lesson lesson;
  lesson.found = std::make_shared<const dfa::Signs>(dfa::Signs{word, 1});
  return lesson;
}

std::size_t num_starts(const dfa::Curriculum& curriculum) { return curriculum.plan(3, 1.0).starts.size(); }

// Lets images begin while there is room; how many.
std::int64_t fill(dfa::Curriculum& curriculum, std::int64_t& next) {
  const std::int64_t first = next;
  while (curriculum.has_room()) {
    curriculum.begin(next++);
  }
  return next - first;
}

std::string saved(const dfa::Curriculum& curriculum) { return dfa::save_state("a curriculum", curriculum); }

}  // namespace

TEST_CASE("few images are new at a time, and more the more has been learned") {
  dfa::Curriculum curriculum(kSize);
  std::int64_t next = 0;
  std::vector<std::int64_t> begun;
  while (begun.empty() || begun.back() < 1000) {
    const std::int64_t first = next;
    begun.push_back(fill(curriculum, next));
    for (std::int64_t image = first; image < next; ++image) {
      curriculum.report(image, 3, dfa::Lesson(), 2, true);
    }
    REQUIRE(curriculum.advance());
  }
  // 4 until 16 have been learned from; then the square root, rounded up; from 64 on an eighth.
  std::int64_t learned = 0;
  for (const std::int64_t number : begun) {
    std::int64_t most = 4;
    while (most * most < learned || 8 * most < learned) {
      ++most;
    }
    REQUIRE(number == most);
    learned += number;
  }
  CHECK(learned > 5000);
}

TEST_CASE("an image is new until it is over or has had 64 candidates, and is active until it is over") {
  dfa::Curriculum curriculum(kSize);
  std::int64_t next = 0;
  REQUIRE(fill(curriculum, next) == 4);
  for (const std::uint64_t told : {std::uint64_t{2}, kNewCandidates - 1}) {
    for (std::int64_t image = 0; image < 4; ++image) {
      curriculum.report(image, 3, dfa::Lesson(), told, false);
    }
    REQUIRE(curriculum.advance());
    CHECK_FALSE(curriculum.has_room());
  }
  curriculum.report(0, 3, dfa::Lesson(), kNewCandidates, false);
  curriculum.report(1, 3, dfa::Lesson(), kNewCandidates - 1, true);
  curriculum.report(2, 3, dfa::Lesson(), kNewCandidates - 1, false);
  CHECK_FALSE(curriculum.advance());  // image 3 is still at it
  curriculum.report(3, 3, dfa::Lesson(), kNewCandidates - 1, false);
  REQUIRE(curriculum.advance());
  CHECK(curriculum.now() == 3);
  CHECK(fill(curriculum, next) == 2);
  // Image 1 is over; the other three and the two that began have to make the next tick.
  for (const std::int64_t image : {0, 2, 3, 4}) {
    curriculum.report(image, 3, dfa::Lesson(), 70, false);
  }
  CHECK_FALSE(curriculum.advance());
  curriculum.report(5, 3, dfa::Lesson(), 70, false);
  CHECK(curriculum.advance());
}

TEST_CASE("what is taught is learned in its tick and in the order of the images, however it comes in") {
  const auto make = [] {
    dfa::Curriculum curriculum(kSize);
    std::int64_t next = 0;
    fill(curriculum, next);
    return curriculum;
  };
  dfa::Curriculum by_tick = make();
  dfa::Curriculum ahead = make();
  for (std::uint64_t tick = 0; tick < 3; ++tick) {
    for (std::int64_t image = 0; image < 4; ++image) {
      by_tick.report(image, image, found(10 * tick + static_cast<std::uint64_t>(image)), 2, tick == 2);
    }
    CHECK(by_tick.advance());
  }
  for (std::int64_t image = 3; image >= 0; --image) {
    CHECK(num_starts(ahead) == dfa::kNumTexturedStarts);
    for (std::uint64_t tick = 0; tick < 3; ++tick) {
      ahead.report(image, image, found(10 * tick + static_cast<std::uint64_t>(image)), 2, tick == 2);
      CHECK_FALSE((image > 0 && ahead.advance()));
    }
  }
  // Ticks end one by one: in each of them images may begin.
  for (std::uint64_t tick = 0; tick < 3; ++tick) {
    CHECK(ahead.now() == tick);
    CHECK(ahead.advance());
  }
  CHECK_FALSE(ahead.advance());
  CHECK(saved(ahead) == saved(by_tick));
  CHECK(num_starts(ahead) > dfa::kNumTexturedStarts);
}

TEST_CASE("reports of who takes no part are refused") {
  dfa::Curriculum curriculum(kSize);
  CHECK_THROWS_WITH_AS(curriculum.report(7, 3, dfa::Lesson(), 2, false), "image 7 takes no part", std::logic_error);
  curriculum.begin(7);
  CHECK_THROWS_WITH_AS(curriculum.begin(7), "image 7 takes part already", std::logic_error);
  curriculum.report(7, 3, dfa::Lesson(), 2, true);
  CHECK_THROWS_WITH_AS(curriculum.report(7, 3, dfa::Lesson(), 2, true), "image 7 takes no part", std::logic_error);
}

TEST_CASE("no more images are active than fit into memory") {
  CHECK(dfa::Curriculum::capacity(0) == 16384);
  CHECK(dfa::Curriculum::capacity(28 * 28) == 16384);
  CHECK(dfa::Curriculum::capacity(224 * 224 * 3) == 445);
  CHECK(dfa::Curriculum::capacity(1024 * 1024 * 3) == 256);
  const std::size_t large = 1U << 20U;
  dfa::Curriculum curriculum(large);
  std::int64_t next = 0;
  for (int tick = 0; tick < 400; ++tick) {
    fill(curriculum, next);
    for (std::int64_t image = 0; image < next; ++image) {
      curriculum.report(image, 3, dfa::Lesson(), kNewCandidates, false);
    }
    REQUIRE(curriculum.advance());
  }
  CHECK(next == 256);
}

TEST_CASE("a curriculum loaded is the one that was saved") {
  dfa::Curriculum curriculum(kSize);
  std::int64_t next = 0;
  fill(curriculum, next);
  curriculum.report(0, 3, found(1), 2, false);
  curriculum.report(1, 3, found(2), 2, true);
  curriculum.report(0, 3, found(3), 70, false);
  curriculum.report(2, 3, found(4), 2, false);
  dfa::Curriculum loaded(kSize);
  dfa::load_state("a curriculum", saved(curriculum), loaded);
  CHECK(saved(loaded) == saved(curriculum));
  for (dfa::Curriculum* each : {&curriculum, &loaded}) {
    CHECK_FALSE(each->advance());
    each->report(3, 3, found(5), 2, false);
    CHECK(each->advance());
    CHECK(each->has_room());
    each->begin(4);
    CHECK_FALSE(each->has_room());
  }
  CHECK(saved(loaded) == saved(curriculum));
}

TEST_CASE("states that no curriculum can be in are refused") {
  dfa::Curriculum curriculum(kSize);
  curriculum.begin(5);
  curriculum.begin(6);
  curriculum.report(5, 3, found(1), 2, false);
  curriculum.report(6, 3, found(1), 2, true);
  const std::string state = saved(curriculum);
  dfa::Curriculum other(kSize + 1000);
  CHECK_THROWS_WITH_AS(dfa::load_state("a curriculum", state, other),
                       "saved state belongs to another number of coordinates", std::invalid_argument);
  const auto check_refused = [](const std::string& bytes, const char* message) {
    dfa::Curriculum empty(kSize);
    CHECK_THROWS_WITH_AS(dfa::load_state("a curriculum", bytes, empty), message, std::invalid_argument);
  };
  // After the archive: now, learned, number of active ones; of each its image, next tick, and whether new and over.
  const std::size_t now = state.find(states::packed(std::uint64_t{0}) + states::packed(std::uint64_t{0}) +
                                     states::packed(std::uint64_t{2}) + states::packed(std::int64_t{5}));
  REQUIRE(now != std::string::npos);
  const std::size_t first = now + 3 * 8;
  const char* lacking = "saved curriculum lacks a report, or holds one of a search that was over";
  const char* behind = "saved curriculum holds an image that is behind its clock";
  const char* stray = "saved curriculum holds a report of no active image";
  check_refused(states::patched(state, now, states::packed(std::uint64_t{2})), behind);
  check_refused(states::patched(state, first, states::packed(std::int64_t{4})), lacking);
  check_refused(states::patched(state, first + 8, states::packed(std::uint64_t{2})), lacking);
  check_refused(states::patched(state, first + 8, states::packed(std::uint64_t{0})), stray);
  check_refused(states::patched(state, first + 17, states::packed(true)), lacking);
  const std::size_t second = first + 18;
  check_refused(states::patched(state, second + 17, states::packed(false)), lacking);
  check_refused(states::patched(state, second + 8, states::packed(std::uint64_t{0})), behind);
}
