#include <doctest/doctest.h>

#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <stdexcept>
#include <string>
#include <vector>

#include "dfa/base/state.hpp"
#include "dfa/search/ray_walk.hpp"
#include "search/searches.hpp"

using namespace searches;

namespace {

dfa::Config ray_config() {
  dfa::Config config = textured_configs().front();
  config.shape = dfa::Shape::kRay;
  return config;
}

// As of labels: a label that counts is seen where the changes lie along a pattern, far enough.
double distance_of(const dfa::Racos& search, const Image& image) {
  std::int32_t along = 0;
  std::int32_t largest = 0;
  for (std::size_t p = 0; p < image.size(); ++p) {
    const std::int32_t change = std::int32_t{image[p]} - search.space().original()[p];
    along += p % 5 < 2 ? change : -change;
    largest = std::max(largest, std::abs(change));
  }
  return std::abs(along) < 12 * static_cast<std::int32_t>(image.size()) ? 1.0 : largest > 20 ? 0.5 : 0.0;
}

Image step(dfa::Racos& search) {
  dfa::Scratch scratch;
  Image last;
  const std::uint32_t size = search.iteration_size();
  for (std::uint32_t i = 0; i < size; ++i) {
    last = ask(search, i);
    search.tell(i, distance_of(search, last));
  }
  search.advance(scratch);
  return last;
}

}  // namespace

TEST_CASE("a walk along rays is saved and goes on alike, wherever it is") {
  dfa::Racos search = make(ray_config());
  int num_seen = 0;
  for (int i = 0; i < 300; ++i) {
    dfa::Racos again = dfa::Racos::load(ray_config(), kShape, search.save());
    const Image image = step(search);
    CHECK(step(again) == image);
    num_seen += distance_of(search, image) < 1.0 ? 1 : 0;
  }
  CHECK(num_seen > 5);
}

TEST_CASE("starts are asked within the ball, and no ray before the last of them") {
  dfa::Config config = ray_config();
  config.samples = 5;
  dfa::Racos search = make(config);
  std::uint32_t told = 0;
  while (told < dfa::kNumTexturedStarts) {
    const std::uint32_t size = search.iteration_size();
    CHECK(told + size <= dfa::kNumTexturedStarts);
    told += size;
    step(search);
  }
  CHECK(told == dfa::kNumTexturedStarts);
  CHECK(search.iteration_size() == 1);
}

TEST_CASE("a walk that cannot be is not read") {
  const dfa::Racos search = make(ray_config());
  const dfa::Plan plan = dfa::plan_alone(12);
  const dfa::RayContext context{kShape, search.space(), plan};
  const std::uint32_t whole = dfa::RayWalk::kWhole;
  struct Fields {
    dfa::Signs signs;
    std::uint32_t nearest, num_starts, level, tile;
    std::uint8_t stage;
    std::uint32_t low, stride;
  };
  const auto read = [&](const Fields& fields) {
    dfa::StateWriter out;
    out.field(fields.signs);
    out.field(fields.nearest);
    out.field(fields.num_starts);
    out.field(fields.level);
    out.field(fields.tile);
    out.field(fields.stage);
    out.field(fields.low);
    out.field(fields.stride);
    const std::string bytes = out.bytes();
    dfa::StateReader in(bytes);
    dfa::RayWalk walk;
    in.field(walk);
    walk.check(context);
  };
  const dfa::Signs one(dfa::num_words(kShape.size()), 5);
  const Fields sound{one, 2 * whole, 12, 2, 3, 2, whole, 0};
  read(sound);
  read({{}, 0, 0, 0, 0, 0, 0, 0});
  const auto refused = [&](auto change) {
    Fields fields = sound;
    change(fields);
    CHECK_THROWS_AS(read(fields), std::invalid_argument);
  };
  refused([](Fields& fields) { fields.signs.clear(); });
  refused([](Fields& fields) { fields.signs.push_back(0); });
  refused([&](Fields& fields) { fields.nearest = whole - 1; });
  refused([&](Fields& fields) { fields.nearest = 13 * whole; });
  refused([](Fields& fields) { fields.num_starts = 13; });
  refused([](Fields& fields) { fields.level = 63; });
  refused([](Fields& fields) { fields.tile = 4; });
  refused([&](Fields& fields) { fields.low = whole - 1; });
  refused([](Fields& fields) { fields.low = fields.nearest; });
  refused([](Fields& fields) { fields.stage = 0; });
  refused([](Fields& fields) { fields.stride = 1U << 30U; });
}
