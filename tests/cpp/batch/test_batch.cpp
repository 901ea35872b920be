#include <doctest/doctest.h>

#include <cmath>
#include <cstdint>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include "dfa/base/parallel.hpp"
#include "dfa/batch/batch.hpp"
#include "states.hpp"
#include "support.hpp"

namespace {

using Images = std::vector<std::uint8_t>;
using Rows = std::vector<dfa::Row>;

dfa::Space make_ball(const dfa::ImageShape& shape, std::uint32_t which) {
  dfa::Stream stream = support::numbers(which);
  return support::random_ball(shape.size(), static_cast<std::uint8_t>(which % 3 == 0 ? 0U : 40U * which),
                              dfa::Domain::kBall, stream);
}

Images ask(dfa::Batch& batch, const Rows& rows) {
  Images images(rows.size() * batch.shape().size(), 77);
  batch.ask(rows, images.data());
  return images;
}

void tell(dfa::Batch& batch, const Rows& rows, const std::vector<double>& degrees) {
  REQUIRE(rows.size() == degrees.size());
  batch.tell(rows, degrees.data());
}

std::vector<double> sums(const Images& images, std::size_t size) {
  std::vector<double> result(images.size() / size, 0.0);
  for (std::size_t i = 0; i < images.size(); ++i) {
    result[i / size] += images[i];
  }
  return result;
}

Rows all_rows(const dfa::Batch& batch, const std::vector<std::size_t>& slots) {
  Rows rows;
  for (const std::size_t slot : slots) {
    for (std::uint32_t i = 0; i < batch.search(slot).iteration_size(); ++i) {
      rows.push_back({slot, i});
    }
  }
  return rows;
}

std::vector<std::string> saved(const dfa::Batch& batch, const std::vector<std::size_t>& slots) {
  std::vector<std::string> result;
  for (const std::size_t slot : slots) {
    result.push_back(batch.save(slot));
  }
  return result;
}

// Some iterations of `count` searches; every image, and the states at the end.
std::pair<Images, std::vector<std::string>> run(const dfa::Config& config, const dfa::ImageShape& shape,
                                                std::uint32_t count, int threads) {
  dfa::Batch batch(config, shape, 5, threads);
  std::vector<std::size_t> slots;
  for (std::uint32_t i = 0; i < count; ++i) {
    slots.push_back(batch.add(make_ball(shape, i), i));
  }
  Images all;
  for (int iteration = 0; iteration < 3; ++iteration) {
    const Rows rows = all_rows(batch, slots);
    const Images images = ask(batch, rows);
    CHECK(2 * images.size() >= dfa::kMinParallelBytes);
    tell(batch, rows, sums(images, shape.size()));
    all.insert(all.end(), images.begin(), images.end());
  }
  return {all, saved(batch, slots)};
}

constexpr dfa::ImageShape kSmall{3, 3, 1};

}  // namespace

TEST_CASE("the number of threads changes nothing") {
  for (const dfa::Region region : {dfa::Region::kNone, dfa::Region::kOrdered}) {
    dfa::Config config;
    config.region = region;
    config.coordinates = 50;
    const auto large = run(config, {149, 149, 3}, 6, 1);
    CHECK(run(config, {149, 149, 3}, 6, 2) == large);
    CHECK(run(config, {149, 149, 3}, 6, 7) == large);
  }
  dfa::Config config;  // whose tells are worth sharing in every iteration
  config.region = dfa::Region::kNone;
  config.samples = 400;
  config.positives = 5;
  const auto many = run(config, {5, 5, 1}, 55, 1);
  CHECK(run(config, {5, 5, 1}, 55, 3) == many);
}

TEST_CASE("slots are found again, given away again, and unknown when free") {
  dfa::Batch batch(dfa::Config(), kSmall, 1, 1);
  CHECK(batch.size() == 0);
  CHECK_THROWS_WITH_AS(batch.search(0), "slot 0 holds no search", std::invalid_argument);
  CHECK(batch.add(make_ball(kSmall, 1), 10) == 0);
  CHECK(batch.add(make_ball(kSmall, 2), 11) == 1);
  CHECK(batch.add(make_ball(kSmall, 3), 12) == 2);
  batch.remove(1);
  CHECK(batch.size() == 2);
  CHECK_THROWS_WITH_AS(batch.search(1), "slot 1 holds no search", std::invalid_argument);
  CHECK_THROWS_WITH_AS(batch.remove(1), "slot 1 holds no search", std::invalid_argument);
  CHECK(batch.search(2).image_id() == 12);
  CHECK(batch.add(make_ball(kSmall, 4), 13) == 1);
  CHECK(batch.search(1).image_id() == 13);
  CHECK(batch.search(1).iteration() == 0);
  CHECK(batch.size() == 3);
}

TEST_CASE("rows that make no sense are refused before anything happens") {
  dfa::Batch batch(dfa::Config(), kSmall, 1, 1);
  const std::vector<std::size_t> slots{batch.add(make_ball(kSmall, 1), 0), batch.add(make_ball(kSmall, 2), 1)};
  const Images expected = ask(batch, all_rows(batch, slots));
  const auto before = saved(batch, slots);
  Images images(3 * kSmall.size(), 77);
  const std::vector<double> degrees{1.0, 2.0, 3.0};
  const auto check_refused = [&](const Rows& rows, const char* message) {
    CHECK_THROWS_WITH_AS(batch.ask(rows, images.data()), message, std::invalid_argument);
    CHECK(images == Images(3 * kSmall.size(), 77));
  };
  check_refused({{0, 1}, {2, 0}}, "slot 2 holds no search");
  check_refused({{0, 1}, {1, 5}}, "slot 1 has 5 candidates in this iteration, got 5");
  check_refused({{0, 1}, {1, 1}, {0, 1}}, "candidate 1 of slot 0 stands in more than one row");
  CHECK_THROWS_WITH_AS(batch.tell({{0, 1}, {2, 0}}, degrees.data()), "slot 2 holds no search", std::invalid_argument);
  CHECK_THROWS_WITH_AS(batch.tell({{0, 1}, {1, 5}}, degrees.data()), "slot 1 has 5 candidates in this iteration, got 5",
                       std::invalid_argument);
  CHECK(saved(batch, slots) == before);
  CHECK(ask(batch, all_rows(batch, slots)) == expected);  // no row of a refused ask is still held
}

TEST_CASE("a tell that is refused at any row changes nothing") {
  dfa::Batch batch(dfa::Config(), kSmall, 1, 1);
  const std::vector<std::size_t> slots{batch.add(make_ball(kSmall, 1), 0), batch.add(make_ball(kSmall, 2), 1)};
  ask(batch, all_rows(batch, {slots[0]}));
  ask(batch, {{1, 0}, {1, 1}});
  tell(batch, {{1, 1}}, {4.0});
  const auto before = saved(batch, slots);
  const Rows good = all_rows(batch, {slots[0]});  // would complete the iteration of slot 0
  for (std::size_t place = 0; place <= good.size(); ++place) {
    for (const std::pair<dfa::Row, double>& bad :
         {std::pair<dfa::Row, double>{{1, 2}, 1.0}, {{1, 1}, 1.0}, {{1, 0}, std::nan("")}}) {
      Rows rows = good;
      std::vector<double> degrees{1.0, 2.0, 3.0, 4.0, 5.0};
      rows.insert(rows.begin() + static_cast<std::ptrdiff_t>(place), bad.first);
      degrees.insert(degrees.begin() + static_cast<std::ptrdiff_t>(place), bad.second);
      CHECK_THROWS(batch.tell(rows, degrees.data()));
      CHECK(saved(batch, slots) == before);
      CHECK(batch.search(0).iteration() == 0);
    }
  }
  tell(batch, good, {1.0, 2.0, 3.0, 4.0, 5.0});
  CHECK(batch.search(0).iteration() == 1);
  CHECK(batch.search(0).population()[0].birth == 0);
}

TEST_CASE("a loaded search keeps the seed it was saved with and takes a free slot") {
  dfa::Batch batch(dfa::Config(), kSmall, 1, 1);
  const std::size_t slot = batch.add(make_ball(kSmall, 1), 4);
  const Rows rows = all_rows(batch, {slot});
  tell(batch, rows, sums(ask(batch, rows), kSmall.size()));
  dfa::Batch other(dfa::Config(), kSmall, 2, 1);
  other.add(make_ball(kSmall, 3), 0);
  const std::size_t loaded = other.load(batch.save(slot));
  CHECK(loaded == 1);
  CHECK(other.size() == 2);
  CHECK(other.search(loaded).image_id() == 4);
  CHECK(ask(other, all_rows(other, {loaded})) == ask(batch, all_rows(batch, {slot})));
  CHECK_THROWS_AS(other.load("DFAS"), std::invalid_argument);
  CHECK(other.size() == 2);
}

TEST_CASE("a batch saved as a whole comes back with its slots, free ones too") {
  dfa::Batch batch(dfa::Config(), kSmall, 1, 1);
  for (std::uint32_t i = 0; i < 4; ++i) {
    batch.add(make_ball(kSmall, i), i);
  }
  const Rows rows = all_rows(batch, {2});
  tell(batch, rows, sums(ask(batch, rows), kSmall.size()));
  batch.remove(1);
  const std::string state = batch.save_all();

  dfa::Batch other(dfa::Config(), kSmall, 2, 1);
  CHECK_THROWS_AS(other.load_all(state.substr(0, state.size() - 1)), std::invalid_argument);
  CHECK_THROWS_AS(other.load_all(std::string(8, '\xFF')), std::invalid_argument);
  CHECK_THROWS_WITH_AS(other.load_all(state + "x"), "saved state is longer than its contents", std::invalid_argument);
  const std::size_t slots = states::kHead + states::packed(std::string("a batch")).size();
  CHECK_THROWS_AS(other.load_all(states::patched(state, slots, states::packed(~std::uint64_t{0}))),
                  std::invalid_argument);
  CHECK_THROWS_WITH_AS(other.load_all(batch.save(0)), "not a saved state of a batch, but of a search",
                       std::invalid_argument);
  CHECK(other.size() == 0);
  other.load_all(state);
  CHECK(other.size() == 3);
  CHECK(other.save_all() == state);
  CHECK(saved(other, {0, 2, 3}) == saved(batch, {0, 2, 3}));
  CHECK(ask(other, all_rows(other, {0, 2, 3})) == ask(batch, all_rows(batch, {0, 2, 3})));
  CHECK_THROWS_WITH_AS(other.search(1), "slot 1 holds no search", std::invalid_argument);
  CHECK_THROWS_WITH_AS(other.load_all(state), "a saved batch needs an empty one, this holds 3 searches",
                       std::logic_error);
  CHECK(other.add(make_ball(kSmall, 7), 7) == 1);
  CHECK(other.add(make_ball(kSmall, 7), 7) == 4);
}

TEST_CASE("batches of nothing are refused") {
  CHECK_THROWS_WITH_AS(dfa::Batch(dfa::Config(), kSmall, 1, 0), "threads must be at least 1, got 0",
                       std::invalid_argument);
  CHECK_THROWS_AS(dfa::Batch(dfa::Config(), {3, 0, 1}, 1, 1), std::invalid_argument);
  dfa::Config config;
  config.samples = 0;
  CHECK_THROWS_AS(dfa::Batch(config, kSmall, 1, 1), std::invalid_argument);
}
