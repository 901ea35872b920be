#include <doctest/doctest.h>

#include <algorithm>
#include <cstdint>
#include <memory>
#include <set>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include "dfa/batch/batch.hpp"
#include "dfa/search/racos.hpp"
#include "dfa/space/box.hpp"
#include "dfa/space/space.hpp"
#include "states.hpp"
#include "support.hpp"

namespace {

constexpr dfa::ImageShape kShape{5, 4, 3};

struct Case {
  std::string kind;
  dfa::Parameters parameters;
};

const std::vector<Case> kCases = {
    {"pixels", {{"number", 3}}},
    {"rectangle", {{"height", 3}, {"width", 4}, {"colour", -1}}},
    {"rectangle", {{"height", 5}, {"width", 1}, {"colour", 7}}},
    {"tiny_rectangles", {{"number", 6}, {"height", 2}, {"width", 4}}},
    {"lighting", {{"brightness", 255}, {"contrast", 63}, {"gamma", 7}}},
    {"tiled", {{"epsilon", 255}, {"factor", 3}}},
    {"shift", {{"rows", 4}, {"columns", 3}}},
    {"patch", {{"size", 2}}},
    {"frame", {{"width", 1}}},
};

std::shared_ptr<const dfa::Box> box_of(const Case& each) {
  return std::make_shared<const dfa::Box>(each.kind, kShape, each.parameters);
}

dfa::Config config_of(dfa::Region region) {
  dfa::Config config;
  config.samples = 4;
  config.positives = 2;
  config.coordinates = 3;
  config.region = region;
  return config;
}

double degree_of(const std::vector<std::uint8_t>& image) {
  std::uint32_t sum = 0;
  for (std::size_t p = 0; p < image.size(); ++p) {
    sum += image[p] * static_cast<std::uint32_t>(p % 5);
  }
  return 1.0 + sum / 64;
}

// The images of `iterations` iterations of a search, one after another.
std::vector<std::vector<std::uint8_t>> search(dfa::Racos& racos, int iterations, dfa::Scratch& scratch) {
  std::vector<std::vector<std::uint8_t>> images;
  for (int i = 0; i < iterations; ++i) {
    for (std::uint32_t candidate = 0; candidate < racos.iteration_size(); ++candidate) {
      std::vector<std::uint8_t> image(kShape.size());
      racos.ask(candidate, scratch, image.data());
      const std::vector<std::int16_t> x = racos.vector(candidate);
      const dfa::Box& box = *racos.space().box();
      REQUIRE(x.size() == box.low().size());
      for (std::size_t p = 0; p < x.size(); ++p) {
        CHECK(box.low()[p] <= x[p]);
        CHECK(x[p] <= box.high()[p]);
      }
      std::vector<std::uint8_t> again(kShape.size());
      box.render(racos.space().original().data(), x.data(), again.data());
      CHECK(image == again);
      racos.tell(candidate, degree_of(image));
      images.push_back(std::move(image));
    }
    racos.advance(scratch);
  }
  return images;
}

}  // namespace

TEST_CASE("every space searches within its box, renders what it draws, and goes on after a restart") {
  dfa::Stream stream = support::numbers(50);
  for (const Case& each : kCases) {
    for (const dfa::Region region : {dfa::Region::kNone, dfa::Region::kOrdered, dfa::Region::kPerCoordinate}) {
      CAPTURE(each.kind);
      const std::vector<std::uint8_t> original = support::random_pixels(kShape.size(), stream);
      const dfa::Config config = config_of(region);
      dfa::Scratch scratch;
      dfa::Racos whole(config, kShape, dfa::Space(original, box_of(each)), 3, 9);
      dfa::Racos first(config, kShape, dfa::Space(original, box_of(each)), 3, 9);
      std::vector<std::vector<std::uint8_t>> images = search(first, 4, scratch);
      const std::string state = first.save();
      dfa::Racos second = dfa::Racos::load(config, kShape, state);
      CHECK(second.save() == state);
      const std::vector<std::vector<std::uint8_t>> rest = search(second, 4, scratch);
      images.insert(images.end(), rest.begin(), rest.end());
      CHECK(search(whole, 8, scratch) == images);
      CHECK(whole.save() == second.save());
      for (std::size_t size : {std::size_t{3}, state.size() / 2, state.size() - 1}) {
        CHECK_THROWS_AS(dfa::Racos::load(config, kShape, state.substr(0, size)), std::invalid_argument);
      }
    }
  }
}

TEST_CASE("no damage of a state with a right checksum takes a renderer out of its box") {
  // What the sanitizers would see.
  int num_loaded = 0;
  dfa::Stream stream = support::numbers(53);
  dfa::Scratch scratch;
  for (const Case& each : kCases) {
    const dfa::Config config = config_of(dfa::Region::kOrdered);
    dfa::Racos whole(config, kShape, dfa::Space(support::random_pixels(kShape.size(), stream), box_of(each)), 3, 4);
    search(whole, 3, scratch);
    const std::string state = whole.save();
    // Intervals and members most of all: originals may hold anything.
    const std::size_t from = states::part(state, "space") + kShape.size();
    for (int trial = 0; trial < 1000; ++trial) {
      const auto range = static_cast<std::uint32_t>(state.size() - states::kChecksum - from);
      const std::string byte(1, static_cast<char>(stream.below(256)));
      try {
        dfa::Racos loaded = dfa::Racos::load(config, kShape, states::patched(state, from + stream.below(range), byte));
        search(loaded, 2, scratch);
        ++num_loaded;
      } catch (const std::logic_error&) {  // no state, or one with a candidate told already
      }
    }
  }
  CHECK(num_loaded > 100);
}

TEST_CASE("renderers take the corners of their boxes") {
  dfa::Stream stream = support::numbers(51);
  for (const Case& each : kCases) {
    CAPTURE(each.kind);
    const std::shared_ptr<const dfa::Box> box = box_of(each);
    const std::vector<std::uint8_t> original = support::random_pixels(kShape.size(), stream);
    std::vector<std::uint8_t> image(kShape.size());
    for (int i = 0; i < 64; ++i) {
      std::vector<std::int16_t> x(box->low().size());
      for (std::size_t p = 0; p < x.size(); ++p) {
        x[p] = stream.below(2) != 0 ? box->high()[p] : box->low()[p];
      }
      box->render(original.data(), x.data(), image.data());
    }
    CHECK(box->kind() == each.kind);
  }
}

TEST_CASE("what cannot change keeps its value, which need not be 0") {
  const dfa::ImageShape row{1, 3, 2};
  const auto box = std::make_shared<const dfa::Box>(
      "values", row, dfa::Parameters{}, std::vector<std::int16_t>{5, -9, 1}, std::vector<std::int16_t>{5, 32767, 1});
  CHECK(box->free() == std::vector<std::uint32_t>{1});
  CHECK(box->largest() == 32767);
  const dfa::Config config = config_of(dfa::Region::kOrdered);
  dfa::Racos racos(config, row, dfa::Space(std::vector<std::uint8_t>(row.size()), box), 1, 1);
  dfa::Scratch scratch;
  std::vector<std::uint8_t> bytes(row.size());
  for (int i = 0; i < 5; ++i) {
    for (std::uint32_t candidate = 0; candidate < racos.iteration_size(); ++candidate) {
      racos.ask(candidate, scratch, bytes.data());
      const std::vector<std::int16_t> x = racos.vector(candidate);
      CHECK(x[0] == 5);
      CHECK(x[2] == 1);
      racos.tell(candidate, 1.0);
    }
    racos.advance(scratch);
  }
}

TEST_CASE("boxes and configurations that make no sense are refused") {
  using dfa::Box;
  using dfa::Parameters;
  using Ends = std::vector<std::int16_t>;
  const dfa::ImageShape row{1, 2, 2};
  CHECK_THROWS_WITH_AS(Box("nowhere", kShape, {}), "no space is called nowhere", std::invalid_argument);
  CHECK_THROWS_WITH_AS(Box("pixels", kShape, {}), "number is missing", std::invalid_argument);
  CHECK_THROWS_WITH_AS(Box("pixels", kShape, {{"number", 0}}), "number must be in 1..10000, got 0",
                       std::invalid_argument);
  CHECK_THROWS_WITH_AS(Box("values", row, {}, Ends{1, 2}, Ends{1, 1}),
                       "interval 1 must not end before it begins, got 2..1", std::invalid_argument);
  CHECK_THROWS_AS(Box("values", row, {}, Ends{1, 2}, Ends{1, 2}), std::invalid_argument);
  CHECK_THROWS_WITH_AS(Box("values", row, {}, Ends{1, 2}, Ends{3}),
                       "expected 2 low ends and as many high ones, got 2 and 1", std::invalid_argument);
  CHECK_THROWS_WITH_AS(Box("values", row, {}, Ends{1}, Ends{3}),
                       "expected 2 low ends and as many high ones, got 1 and 1", std::invalid_argument);
  const Parameters rows{{"rows", 1}, {"columns", 1}};
  CHECK(Box("shift", kShape, rows, Ends{0, -1}, Ends{1, 0}).high() == Ends{1, 0});
  CHECK_THROWS_WITH_AS(Box("shift", kShape, rows, Ends{-1, -2}, Ends{1, 1}),
                       "interval 1 must lie within -1..1, got -2..1", std::invalid_argument);
  CHECK_THROWS_WITH_AS(Box("shift", kShape, rows, Ends{-1, -1}, Ends{2, 1}),
                       "interval 0 must lie within -1..1, got -1..2", std::invalid_argument);
  CHECK_THROWS_AS(dfa::Space(std::vector<std::uint8_t>(7), box_of(kCases[0])), std::invalid_argument);
  dfa::Config config = config_of(dfa::Region::kNone);
  config.shape = dfa::Shape::kWindow;
  const std::vector<std::uint8_t> original(kShape.size());
  CHECK_THROWS_AS(dfa::Racos(config, kShape, dfa::Space(original, box_of(kCases[0])), 1, 1), std::invalid_argument);
}

TEST_CASE("all files of spaces are known, each once") {
  std::set<std::string> names;
  for (const dfa::SpaceKind& kind : dfa::space_kinds()) {
    CHECK(names.insert(kind.name).second);
  }
  CHECK(names == std::set<std::string>{"frame", "lighting", "patch", "pixels", "rectangle", "shift", "tiled",
                                       "tiny_rectangles", "values"});
}
