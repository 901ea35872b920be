#include <doctest/doctest.h>

#include <limits>
#include <stdexcept>

#include "dfa/base/names.hpp"
#include "dfa/search/config.hpp"
#include "dfa/search/texture.hpp"

namespace {

template <typename Change>
dfa::Config changed(Change change) {
  dfa::Config config;
  change(config);
  return config;
}

}  // namespace

TEST_CASE("the configuration starts as the paper's") {
  const dfa::Config config;
  CHECK_NOTHROW(dfa::validate(config));
  CHECK(config.samples == 3);
  CHECK(config.positives == 2);
  CHECK(config.population() == 5);
  CHECK(config.coordinates == 2);
  CHECK(config.region == dfa::Region::kOrdered);
  CHECK(config.shape == dfa::Shape::kScattered);
  CHECK(config.values == dfa::Values::kUniform);
  CHECK(config.start == dfa::Start::kUniform);
  CHECK(config.domain == dfa::Domain::kBall);
  CHECK(config.ties == dfa::Ties::kOlder);
  CHECK(config.num_starts() == 5);
  CHECK(config.restart_after == 0);
  CHECK(config.rest_ratio == 0.95);
  CHECK(config.placements == 1);
}

TEST_CASE("a field that makes no sense is named") {
  const auto refused = [](auto change) { dfa::validate(changed(change)); };
  using dfa::Config;
  CHECK_THROWS_WITH_AS(refused([](Config& c) { c.samples = 0; }), "samples must be in 1..1048576, got 0",
                       std::invalid_argument);
  CHECK_THROWS_WITH_AS(refused([](Config& c) { c.samples = (1U << 20U) + 1; }),
                       "samples must be in 1..1048576, got 1048577", std::invalid_argument);
  CHECK_THROWS_WITH_AS(refused([](Config& c) { c.positives = 0; }), "positives must be in 1..1048576, got 0",
                       std::invalid_argument);
  CHECK_THROWS_WITH_AS(refused([](Config& c) { c.coordinates = 0; }), "coordinates must be at least 1, got 0",
                       std::invalid_argument);
  CHECK_THROWS_AS(refused([](Config& c) { c.window_share = 0.0; }), std::invalid_argument);
  CHECK_THROWS_AS(refused([](Config& c) { c.window_share = 1.5; }), std::invalid_argument);
  CHECK_THROWS_AS(refused([](Config& c) { c.window_share = std::numeric_limits<double>::quiet_NaN(); }),
                  std::invalid_argument);
  CHECK_THROWS_WITH_AS(refused([](Config& c) { c.window_halvings = {1, 3, 2}; }), "window_halvings must ascend",
                       std::invalid_argument);
  CHECK_THROWS_WITH_AS(refused([](Config& c) { c.starts = 4; }), "starts must be at least samples + positives, got 4",
                       std::invalid_argument);
  for (const double ratio : {0.0, -0.5, 1.5, std::numeric_limits<double>::quiet_NaN()}) {
    CHECK_THROWS_AS(refused([ratio](Config& c) { c.rest_ratio = ratio; }), std::invalid_argument);
  }
  CHECK_THROWS_WITH_AS(refused([](Config& c) { c.placements = 0; }), "placements must be in 1..1048576, got 0",
                       std::invalid_argument);
  CHECK_THROWS_WITH_AS(refused([](Config& c) { c.placements = (1U << 20U) + 1; }),
                       "placements must be in 1..1048576, got 1048577", std::invalid_argument);
  CHECK_THROWS_WITH_AS(refused([](Config& c) { c.restart_after = 1; }),
                       "restart_after must be 0 (never) or at least 2, got 1", std::invalid_argument);
  CHECK_THROWS_WITH_AS(refused([](Config& c) {
                         c.start = dfa::Start::kTextures;
                         c.starts = dfa::kNumTexturedStarts + 1;
                       }),
                       "there are 18 textured starts, got starts of 19", std::invalid_argument);
  CHECK_THROWS_WITH_AS(refused([](Config& c) {
                         c.start = dfa::Start::kTextures;
                         c.samples = dfa::kNumTexturedStarts;
                       }),
                       "there are 18 textured starts, got starts of 20", std::invalid_argument);
  for (const dfa::Shape shape : {dfa::Shape::kScattered, dfa::Shape::kWindow}) {
    CHECK_THROWS_WITH_AS(refused([shape](Config& c) {
                           c.values = dfa::Values::kTextures;
                           c.shape = shape;
                           c.region = shape == dfa::Shape::kWindow ? dfa::Region::kOrdered : dfa::Region::kNone;
                         }),
                         "textures need windows and no region", std::invalid_argument);
  }
}

TEST_CASE("the ends of every range are allowed") {
  const auto accepted = [](auto change) { dfa::validate(changed(change)); };
  using dfa::Config;
  CHECK_NOTHROW(accepted([](Config& c) { c.samples = 1; }));
  CHECK_NOTHROW(accepted([](Config& c) { c.samples = 1U << 20U; }));
  CHECK_NOTHROW(accepted([](Config& c) { c.positives = 1U << 20U; }));
  CHECK_NOTHROW(accepted([](Config& c) { c.coordinates = std::numeric_limits<std::uint32_t>::max(); }));
  CHECK_NOTHROW(accepted([](Config& c) { c.window_share = 1.0; }));
  CHECK_NOTHROW(accepted([](Config& c) { c.window_share = std::numeric_limits<double>::min(); }));
  CHECK_NOTHROW(accepted([](Config& c) { c.window_halvings = {0, 0, 5, 5}; }));
  CHECK_NOTHROW(accepted([](Config& c) { c.starts = 5; }));
  CHECK_NOTHROW(accepted([](Config& c) { c.restart_after = 2; }));
  CHECK_NOTHROW(accepted([](Config& c) { c.placements = 1U << 20U; }));
  CHECK_NOTHROW(accepted([](Config& c) { c.rest_ratio = 1.0; }));
  CHECK_NOTHROW(accepted([](Config& c) { c.restart_after = std::numeric_limits<std::uint32_t>::max(); }));
  CHECK_NOTHROW(accepted([](Config& c) {
    c.start = dfa::Start::kTextures;
    c.starts = dfa::kNumTexturedStarts;
  }));
  CHECK_NOTHROW(accepted([](Config& c) {
    c.values = dfa::Values::kTextures;
    c.shape = dfa::Shape::kWindow;
    c.region = dfa::Region::kNone;
  }));
}

TEST_CASE("every choice goes by its name") {
  CHECK(dfa::named<dfa::Region>("region", "none") == dfa::Region::kNone);
  CHECK(dfa::named<dfa::Region>("region", "ordered") == dfa::Region::kOrdered);
  CHECK(dfa::named<dfa::Region>("region", "per_coordinate") == dfa::Region::kPerCoordinate);
  CHECK(dfa::named<dfa::Shape>("shape", "scattered") == dfa::Shape::kScattered);
  CHECK(dfa::named<dfa::Shape>("shape", "window") == dfa::Shape::kWindow);
  CHECK(dfa::named<dfa::Values>("values", "uniform") == dfa::Values::kUniform);
  CHECK(dfa::named<dfa::Values>("values", "extremes") == dfa::Values::kExtremes);
  CHECK(dfa::named<dfa::Values>("values", "textures") == dfa::Values::kTextures);
  CHECK(dfa::named<dfa::Start>("start", "uniform") == dfa::Start::kUniform);
  CHECK(dfa::named<dfa::Start>("start", "stripes") == dfa::Start::kStripes);
  CHECK(dfa::named<dfa::Start>("start", "textures") == dfa::Start::kTextures);
  CHECK(dfa::named<dfa::Domain>("domain", "ball") == dfa::Domain::kBall);
  CHECK(dfa::named<dfa::Domain>("domain", "valid") == dfa::Domain::kValid);
  CHECK(dfa::named<dfa::Ties>("ties", "older") == dfa::Ties::kOlder);
  CHECK(dfa::named<dfa::Ties>("ties", "newer") == dfa::Ties::kNewer);
  CHECK_THROWS_WITH_AS(dfa::named<dfa::Ties>("ties", "Older"), "ties must be one of 'older', 'newer', got 'Older'",
                       std::invalid_argument);
}
