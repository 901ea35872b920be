#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <stdexcept>
#include <string>
#include <vector>

#include "dfa/batch/archive.hpp"
#include "states.hpp"
#include "support.hpp"

using states::lengthened;
using states::packed;
using states::part;
using states::patched;

namespace {

constexpr std::size_t kSize = 70;  // two words of signs
// As in archive.cpp.
constexpr std::size_t kMostPerturbations = 256;
constexpr std::size_t kMostTried = 8;
// The name of the first perturbation.
constexpr std::uint32_t kFirst = dfa::kNumTexturedStarts;

std::shared_ptr<const dfa::Signs> signs(std::uint64_t word) {
  return std::make_shared<const dfa::Signs>(dfa::Signs{word, 1});
}

dfa::Lesson tried(std::uint32_t entry, double ratio) {
  dfa::Lesson lesson;
  lesson.trials.push_back({entry, ratio});
  return lesson;
}

dfa::Lesson found(std::uint64_t word) {
  dfa::Lesson lesson;
  lesson.found = signs(word);
  return lesson;
}

std::vector<std::uint32_t> entries(const dfa::Plan& plan) {
  std::vector<std::uint32_t> names;
  for (const dfa::PlannedStart& start : plan.starts) {
    names.push_back(start.entry);
  }
  return names;
}

bool has(const dfa::Plan& plan, std::uint32_t entry) {
  const std::vector<std::uint32_t> names = entries(plan);
  return std::find(names.begin(), names.end(), entry) != names.end();
}

bool has_signs(const dfa::PlannedStart& start) { return start.signs != nullptr; }

// An archive that has seen a bit of everything.
dfa::Archive experienced() {
  dfa::Archive archive(kSize);
  for (std::uint32_t i = 0; i < 30; ++i) {
    dfa::Lesson lesson = found(i);
    for (std::uint32_t entry = 0; entry < kFirst + i; entry += 1 + i % 3) {
      lesson.trials.push_back({entry,
                               (entry * 7 + i) % 5 == 0 ? 0.0 : 0.1 * ((entry + i) % 9),
                               {0.01 * i, i % 2 == 0 ? 0.02 : -0.01, 0.03}});
    }
    lesson.gains.add(i % 10, 0.25 * i);
    lesson.num_searches = i % 4 > 0 ? 1 : 0;
    lesson.num_windows = i % 4;
    archive.learn(static_cast<std::int64_t>(i % 3) - 1, lesson);
  }
  return archive;
}

}  // namespace

TEST_CASE("signs take a perturbation to the ends of another image's bounds") {
  dfa::Stream stream = support::numbers(60);
  for (const dfa::Domain domain : {dfa::Domain::kBall, dfa::Domain::kValid}) {
    for (const std::uint8_t radius : {std::uint8_t{0}, std::uint8_t{20}, std::uint8_t{255}}) {
      const dfa::Space space = support::random_ball(kSize, radius, domain, stream);
      const dfa::Space other = support::random_ball(kSize, radius, domain, stream);
      const support::Whole whole = support::random_whole(space, stream);
      const dfa::Signs of = dfa::signs_of(support::dense(space, whole));
      REQUIRE(of.size() == 2);
      const dfa::DenseVector applied = dfa::apply_signs(of, other);
      for (std::uint32_t p = 0; p < kSize; ++p) {
        CHECK(applied[p] == (whole[p] > 0 ? other.bounds(p).high : other.bounds(p).low));
      }
    }
  }
  CHECK(dfa::num_words(64) == 1);
  CHECK(dfa::num_words(65) == 2);
}

TEST_CASE("who knows nothing begins with the textured starts in their order") {
  const dfa::Plan plan = dfa::Archive(kSize).plan(3, 0.25);
  REQUIRE(plan.starts.size() == dfa::kNumTexturedStarts);
  for (std::uint32_t i = 0; i < plan.starts.size(); ++i) {
    CHECK(plan.starts[i].entry == i);
    CHECK(plan.starts[i].texture == i);
    CHECK_FALSE(has_signs(plan.starts[i]));
  }
  CHECK(plan.scale == 0.25);
  CHECK(std::isinf(plan.patience));
  CHECK(plan.gains.kinds[0].count + plan.gains.kinds[1].count == 0.0);
  CHECK(entries(dfa::plan_alone(5)) == std::vector<std::uint32_t>{0, 1, 2, 3, 4});
}

TEST_CASE("a plan says how often each of its starts is expected to succeed") {
  dfa::Archive archive(kSize);
  CHECK(archive.plan(1, 1.0).starts.back().rate == 0.1);
  archive.learn(1, tried(3, 0.0));
  archive.learn(1, found(17));
  const dfa::Plan plan = archive.plan(1, 1.0);
  REQUIRE(plan.starts[0].entry == 3);
  CHECK(plan.starts[0].rate == doctest::Approx((1.0 + (1.0 + 0.1) / 2.0) / 2.0));
  REQUIRE(plan.starts[1].entry == kFirst);
  CHECK(plan.starts[1].rate == 0.5);
}

TEST_CASE("starts that worked are tried first, for their goal before all others") {
  dfa::Archive archive(kSize);
  archive.learn(1, tried(3, 0.0));
  archive.learn(2, tried(5, 0.0));
  CHECK(entries(archive.plan(1, 1.0))[0] == 3);
  CHECK(entries(archive.plan(1, 1.0))[1] == 5);
  CHECK(entries(archive.plan(2, 1.0))[0] == 5);
  CHECK(entries(archive.plan(2, 1.0))[1] == 3);
  CHECK(entries(archive.plan(7, 1.0))[2] == 0);
  archive.learn(1, tried(0, 1.0));
  CHECK(entries(archive.plan(1, 1.0)).back() == 0);
  // Also without a success: a lower degree is better.
  archive.learn(1, tried(8, 0.9));
  CHECK(entries(archive.plan(1, 1.0))[kFirst - 2] == 8);
}

TEST_CASE("a perturbation is tried while that is likely to pay, the best of them at most") {
  dfa::Archive archive(kSize);
  archive.learn(4, found(17));
  CHECK(archive.size() == 1);
  dfa::Plan plan = archive.plan(4, 1.0);
  REQUIRE(plan.starts.size() == dfa::kNumTexturedStarts + 1);
  CHECK(plan.starts[0].entry == kFirst);  // likelier than any texture that was never tried
  REQUIRE(has_signs(plan.starts[0]));
  CHECK(*plan.starts[0].signs == *signs(17));
  for (int i = 0; i < 30; ++i) {
    archive.learn(4, tried(kFirst, 1.0));
  }
  CHECK_FALSE(has(archive.plan(4, 1.0), kFirst));
  for (std::uint64_t i = 0; i < 20; ++i) {
    archive.learn(4, found(i));
    archive.learn(4, tried(kFirst + 1 + static_cast<std::uint32_t>(i), 0.0));
  }
  plan = archive.plan(4, 1.0);
  CHECK(plan.starts.size() == dfa::kNumTexturedStarts + kMostTried);
  CHECK(std::count_if(plan.starts.begin(), plan.starts.end(), has_signs) == kMostTried);
}

TEST_CASE("a trial pays where searches are long, and not where they are short") {
  dfa::Archive archive(kSize);
  archive.learn(4, found(17));
  for (int i = 0; i < 8; ++i) {
    archive.learn(4, tried(kFirst, i == 0 ? 0.0 : 1.0));  // one in eight
  }
  dfa::Lesson searched;
  searched.num_searches = 1;
  searched.num_windows = 3;
  archive.learn(4, searched);
  CHECK_FALSE(has(archive.plan(4, 1.0), kFirst));
  dfa::Lesson more;  // of the same search
  more.num_windows = 14;
  archive.learn(4, more);
  CHECK(has(archive.plan(4, 1.0), kFirst));
}

TEST_CASE("a plan says what each of its starts is expected to leave, and how far from it and with what others") {
  dfa::Archive archive(kSize);
  const dfa::Outlook unknown = archive.plan(1, 1.0).starts[0].outlook;
  CHECK(unknown.root == doctest::Approx(std::sqrt(0.7)));
  CHECK(unknown.variance == doctest::Approx(0.04));
  CHECK(unknown.bond == doctest::Approx(0.3));
  // Of columns of 1, and the same turned over.
  dfa::Lesson lesson;
  lesson.trials.push_back({0, 0.25, {0.01, 0.0, 0.0}});
  lesson.trials.push_back({6, 0.25, {0.04, 0.06, 0.08}});
  lesson.num_searches = 1;
  lesson.num_windows = 81;
  archive.learn(1, lesson);
  const dfa::Plan plan = archive.plan(1, 1.0);
  const auto outlook = [&](std::uint32_t entry) {
    const auto is_it = [entry](const dfa::PlannedStart& start) { return start.entry == entry; };
    return std::find_if(plan.starts.begin(), plan.starts.end(), is_it)->outlook;
  };
  const double of_all = (0.5 + std::sqrt(0.7)) / 2.0;
  CHECK(outlook(0).root == doctest::Approx((0.5 + of_all) / 2.0));
  CHECK(outlook(0).variance == doctest::Approx((0.01 + 2.0 * 0.04) / 3.0));
  CHECK(outlook(6).variance == doctest::Approx((0.04 + 2.0 * 0.04) / 3.0));
  CHECK(outlook(0).bond == doctest::Approx((0.06 + 0.3 * 0.16) / (0.08 + 0.16)));
  CHECK(outlook(6).bond == outlook(0).bond);
  CHECK(outlook(1).bond == unknown.bond);
  CHECK(plan.bond == outlook(0).bond);  // no other texture was tried both ways
  CHECK(plan.patience == doctest::Approx(3.0));
}

TEST_CASE("a ratio above the largest says no more than that") {
  dfa::Archive archive(kSize);
  dfa::Archive other(kSize);
  archive.learn(4, tried(3, 1e300));
  other.learn(4, tried(3, 1.5));
  CHECK(archive.save() == other.save());
}

TEST_CASE("beyond 256 the perturbation that worked least is forgotten, and trials of it are too late") {
  dfa::Archive archive(kSize);
  for (std::uint64_t i = 0; i < kMostPerturbations; ++i) {
    archive.learn(0, found(i));
  }
  for (std::uint32_t i = 0; i < kMostPerturbations; ++i) {
    archive.learn(0, tried(kFirst + i, i == 77 ? 1.0 : 0.0));
  }
  CHECK(archive.size() == kMostPerturbations);
  const std::string before = archive.save();
  archive.learn(0, found(1000));
  CHECK(archive.size() == kMostPerturbations);
  const std::string after = archive.save();
  CHECK(after != before);
  archive.learn(0, tried(kFirst + 77, 0.0));
  CHECK(archive.save() == after);
  archive.learn(0, tried(kFirst + 78, 0.0));
  CHECK(archive.save() != after);
}

TEST_CASE("how windows are best filled is shared in the weight of a few candidates") {
  dfa::Archive archive(kSize);
  dfa::Lesson lesson;
  for (int i = 0; i < 90; ++i) {
    lesson.gains.add(2, 0.5);
  }
  archive.learn(0, lesson);
  const dfa::Gains gains = archive.plan(5, 1.0).gains;
  CHECK(gains.kinds[1].count > 0.0);
  CHECK(gains.kinds[1].count < 20.0);
  CHECK(gains.kinds[1].sum == doctest::Approx(gains.kinds[1].count * 0.5));
  CHECK(gains.textures[1].count == doctest::Approx(gains.kinds[1].count));
}

TEST_CASE("an archive loaded is the archive that was saved") {
  dfa::Archive archive = experienced();
  dfa::Archive loaded = dfa::Archive::load(archive.save());
  CHECK(loaded.save() == archive.save());
  CHECK(loaded.size() == 30);
  for (int i = 0; i < 3; ++i) {
    for (const std::int64_t goal : {-1, 0, 1, 9}) {
      const dfa::Plan a = archive.plan(goal, 2.0);
      const dfa::Plan b = loaded.plan(goal, 2.0);
      CHECK(entries(a) == entries(b));
      CHECK(a.gains.kinds[1].sum == b.gains.kinds[1].sum);
      for (std::size_t start = 0; start < a.starts.size(); ++start) {
        CHECK(a.starts[start].texture == b.starts[start].texture);
        CHECK((a.starts[start].signs ? *a.starts[start].signs : dfa::Signs()) ==
              (b.starts[start].signs ? *b.starts[start].signs : dfa::Signs()));
      }
    }
    dfa::Lesson lesson = found(99);
    lesson.trials.push_back({kFirst, 0.0});
    archive.learn(1, lesson);
    loaded.learn(1, lesson);
    CHECK(loaded.save() == archive.save());
  }
}

TEST_CASE("damaged archives are refused, with a right checksum too") {
  const std::string state = experienced().save();
  for (std::size_t i = 0; i < state.size(); ++i) {
    std::string damaged = state;
    damaged[i] = static_cast<char>(damaged[i] ^ (1 << (i % 8)));
    CHECK_THROWS_AS(dfa::Archive::load(damaged), std::invalid_argument);
    CHECK_THROWS_AS(dfa::Archive::load(state.substr(0, i)), std::invalid_argument);
  }
  CHECK_THROWS_WITH_AS(dfa::Archive::load(state + '\0'), "saved state is longer than its contents",
                       std::invalid_argument);
  CHECK_THROWS_WITH_AS(dfa::Archive::load(lengthened(state, std::string(1, '\0'))),
                       "saved state is longer than its contents", std::invalid_argument);
  const std::size_t entries = part(state, "entries");
  const std::size_t first = entries + 8;
  const auto check_refused = [&](std::size_t at, const std::string& bytes, const char* message) {
    CHECK_THROWS_WITH_AS(dfa::Archive::load(patched(state, at, bytes)), message, std::invalid_argument);
  };
  // Before the entries, the number of coordinates: one of other words.
  const std::size_t coordinates = entries - 8 - packed(std::string("entries")).size() - 8;
  REQUIRE(state.substr(coordinates, 8) == packed(std::uint64_t{kSize}));
  check_refused(coordinates, packed(std::uint64_t{200}),
                "saved archive lacks a textured start, or the signs of a perturbation");
  check_refused(coordinates, std::string(8, '\xff'),
                "saved archive lacks a textured start, or the signs of a perturbation");
  CHECK_THROWS_WITH_AS(dfa::Archive::load(states::with_part(state, "", "entries", packed(std::uint64_t{0}))),
                       "saved archive lacks a textured start", std::invalid_argument);
  REQUIRE(state.substr(first, 4) == packed(std::uint32_t{0}));
  check_refused(first, packed(std::uint32_t{1}), "saved archive holds entries out of order");
  check_refused(entries, packed(~std::uint64_t{0}), "saved state ends too early: it is truncated");
  std::uint64_t length = 0;
  dfa::StateReader(state, entries - 8, state.size()).field(length);
  check_refused(entries + length, packed(std::uint32_t{dfa::kNumTexturedStarts - 1}),
                "saved archive holds a name that it has not given yet");
  // After name and origin, whether there are signs, and after that the trials.
  check_refused(first + 4 + 8 + 1, std::string(8, '\xff'), "saved state holds a number that none of its counts can be");
  check_refused(first + 4 + 8, std::string(1, '\2'), "saved state holds a choice that there is not");
  dfa::Stream stream = support::numbers(61);
  int num_loaded = 0;
  for (int trial = 0; trial < 2000; ++trial) {
    const std::size_t at = stream.below(static_cast<std::uint32_t>(state.size() - states::kChecksum));
    try {
      const dfa::Archive archive =
          dfa::Archive::load(patched(state, at, std::string(1, static_cast<char>(stream.below(256)))));
      CHECK(archive.plan(1, 1.0).starts.size() >= dfa::kNumTexturedStarts);
      ++num_loaded;
    } catch (const std::invalid_argument&) {
    }
  }
  CHECK(num_loaded > 100);
}

TEST_CASE("a lesson of another image shape is refused and changes nothing") {
  dfa::Archive archive = experienced();
  const std::string before = archive.save();
  dfa::Lesson lesson = tried(3, 0.0);
  lesson.found = std::make_shared<const dfa::Signs>(3, 0);
  CHECK_THROWS_WITH_AS(archive.learn(0, lesson), "a lesson of another image shape", std::invalid_argument);
  CHECK(archive.save() == before);
}

TEST_CASE("a lesson loaded is the lesson that was saved, for images of its shape") {
  dfa::Lesson lesson = found(9);
  lesson.trials.push_back({7, 0.25, {0.1, -0.2, 0.3}});
  lesson.gains.add(3, 0.5);
  lesson.num_searches = 1;
  lesson.num_windows = 5;
  const std::string state = lesson.save();
  const dfa::Lesson loaded = dfa::Lesson::load(kSize, state);
  CHECK(loaded.save() == state);
  CHECK(*loaded.found == *lesson.found);
  CHECK_THROWS_WITH_AS(dfa::Lesson::load(200, state), "a lesson of another image shape", std::invalid_argument);
  CHECK_THROWS_WITH_AS(dfa::Archive::load(state), "not a saved state of an archive, but of a lesson",
                       std::invalid_argument);
  lesson.trials[0].ratio = std::nan("");
  CHECK_THROWS_WITH_AS(dfa::Lesson::load(kSize, lesson.save()), "saved state holds a ratio that is not a number",
                       std::invalid_argument);
  for (const double number : {-0.1, std::nan(""), 1e15}) {
    lesson.trials[0] = {7, 0.25, {0.1, -0.2, number}};
    CHECK_THROWS_WITH_AS(dfa::Lesson::load(kSize, lesson.save()),
                         "saved state holds a number that none of its counts can be", std::invalid_argument);
  }
  for (std::size_t size = 0; size < state.size(); ++size) {
    CHECK_THROWS_AS(dfa::Lesson::load(kSize, state.substr(0, size)), std::invalid_argument);
  }
}
