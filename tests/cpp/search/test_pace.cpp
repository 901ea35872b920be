#include <doctest/doctest.h>

#include "dfa/search/pace.hpp"

namespace {

dfa::Config wishing(double improvements, std::uint32_t samples = 1) {
  dfa::Config config;
  config.samples = samples;
  config.improvements = improvements;
  return config;
}

}  // namespace

TEST_CASE("without a wish an iteration has its samples, whatever the success") {
  dfa::Pace pace;
  pace.count(60, 0);
  CHECK(pace.num_windows(wishing(0.0)) == 1);
  CHECK(pace.num_windows(wishing(0.0, 7)) == 7);
}

TEST_CASE("an iteration has the windows that promise so many improvements, and its samples at the least") {
  dfa::Pace pace;
  CHECK(pace.num_windows(wishing(1.0)) == 1);  // before any was asked, each is taken to improve
  CHECK(pace.num_windows(wishing(3.0)) == 3);
  CHECK(pace.num_windows(wishing(0.25)) == 1);
  pace.count(10, 2);
  CHECK(pace.num_windows(wishing(1.0)) == 3);  // 12 / 4
  CHECK(pace.num_windows(wishing(2.0)) == 6);
  CHECK(pace.num_windows(wishing(0.5)) == 1);
  CHECK(pace.num_windows(wishing(0.5, 5)) == 5);
  pace.count(28, 0);
  CHECK(pace.num_windows(wishing(1.0)) == 10);  // 40 / 4
}

TEST_CASE("windows of long ago count less, so that no iteration grows without bound") {
  dfa::Pace pace;
  pace.count(64, 10);
  CHECK(pace.num_windows(wishing(1.0)) == 5);  // 66 / 12, rounded down
  pace.count(1, 0);
  CHECK(pace.num_windows(wishing(1.0)) == 4);  // 65 and 10, halved: 34 / 7
  for (int i = 0; i < 100; ++i) {
    pace.count(pace.num_windows(wishing(64.0)), 0);
    CHECK(pace.num_windows(wishing(64.0)) <= 64 * 33);
  }
}
