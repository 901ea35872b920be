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
    std::uint32_t nearest;
    dfa::Signs other_signs;
    std::uint32_t other_nearest;
    std::uint8_t descent;
    std::uint32_t num_starts, round, part;
    std::uint8_t stage;
    std::uint32_t low, stride;
  };
  const auto read = [&](const Fields& fields) {
    dfa::StateWriter out;
    out.field(fields.signs);
    out.field(fields.nearest);
    out.field(fields.other_signs);
    out.field(fields.other_nearest);
    out.field(fields.descent);
    out.field(fields.num_starts);
    out.field(fields.round);
    out.field(fields.part);
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
  const Fields sound{one, 2 * whole, {}, 0, 0, 12, 1, 3, 2, whole, 0};
  read(sound);
  const Fields looking{one, 2 * whole, {}, 0, 0, 12, 1, 3, 0, 0, 0};
  read(looking);
  read({{}, 0, {}, 0, 0, 0, 0, 0, 0, 0, 0});
  const Fields plain{one, 2 * whole, one, 3 * whole, 1, 1, 1, 3, 0, 0, 0};
  read(plain);
  read({{}, 0, one, 3 * whole, 1, 0, 0, 0, 0, 0, 0});
  const Fields nearer{one, 2 * whole, {}, 0, 2, 0, 1, 3, 0, 0, 0};
  read(nearer);
  const auto refused = [&](Fields fields, auto change) {
    change(fields);
    CHECK_THROWS_AS(read(fields), std::invalid_argument);
  };
  for (const Fields& fields : {sound, looking, plain, nearer}) {
    refused(fields, [](Fields& changed) { changed.signs.clear(); });
    refused(fields, [](Fields& changed) { changed.signs.push_back(0); });
    refused(fields, [&](Fields& changed) { changed.nearest = whole - 1; });
    refused(fields, [&](Fields& changed) { changed.nearest = 13 * whole; });
    refused(fields, [](Fields& changed) { ++changed.num_starts; });
    refused(fields, [](Fields& changed) { changed.round = 20; });
    refused(fields, [](Fields& changed) { changed.part = 700; });
    refused(fields, [&](Fields& changed) { changed.other_nearest = whole - 1; });
    refused(fields, [](Fields& changed) { changed.other_signs.push_back(0); });
    refused(fields, [&](Fields& changed) { changed.low = whole - 1; });
    refused(fields, [](Fields& changed) { changed.low = changed.nearest; });
    refused(fields, [](Fields& changed) { changed.stride = 1U << 30U; });
  }
  // Only where the label was seen does it come nearer; and only before the first start is nothing known.
  refused(sound, [](Fields& changed) { changed.stage = 0; });
  refused(sound, [](Fields& changed) { changed.nearest = changed.low = 0; });
  const Fields first{{}, 0, {}, 0, 0, 0, 0, 0, 0, 0, 0};
  refused(first, [&](Fields& changed) { changed.nearest = whole; });
  refused(first, [](Fields& changed) { changed.num_starts = 12; });
  refused(first, [](Fields& changed) { changed.round = 1; });
  refused(first, [](Fields& changed) { changed.part = 1; });
}
