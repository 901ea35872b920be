#include <doctest/doctest.h>

#include <algorithm>
#include <cstdint>
#include <limits>
#include <stdexcept>
#include <string>
#include <vector>

#include "dfa/search/coverage.hpp"
#include "search/searches.hpp"
#include "states.hpp"
#include "support.hpp"

namespace {

double sum(const std::vector<double>& cells) {
  double total = 0.0;
  for (const double cell : cells) {
    total += cell;
  }
  return total;
}

}  // namespace

TEST_CASE("a small image has a cell for every pixel") {
  dfa::Coverage coverage({3, 5, 2});
  REQUIRE(coverage.cells().size() == 15);
  coverage.add(1, 2, 2);
  const std::vector<double> expected{0, 0, 0, 0, 0, 0, 0, 1, 1, 0, 0, 0, 1, 1, 0};
  CHECK(coverage.cells() == expected);
  CHECK(coverage.under(1, 2, 2) == 4.0);
  CHECK(coverage.under(0, 1, 2) == 1.0);
  CHECK(coverage.under(0, 0, 1) == 0.0);
  coverage.add(1, 2, 1);
  CHECK(coverage.under(0, 0, 3) == 3.0);
  coverage.clear();
  CHECK(sum(coverage.cells()) == 0.0);
}

TEST_CASE("a large image has 16 by 16 cells, of which a window may cover parts") {
  dfa::Coverage coverage({64, 32, 3});
  REQUIRE(coverage.cells().size() == 256);
  coverage.add(2, 1, 2);  // two rows of four, and one column of two in each of two cells
  CHECK(coverage.cells()[0] == 0.25);
  CHECK(coverage.cells()[1] == 0.25);
  CHECK(sum(coverage.cells()) == 0.5);
  CHECK(coverage.under(0, 0, 1) == 0.25);
  CHECK(coverage.under(0, 0, 4) == 4.0);
}

TEST_CASE("every pixel of a window is counted, wherever it lies") {
  for (const dfa::ImageShape& shape :
       std::vector<dfa::ImageShape>{{17, 29, 1}, {16, 16, 3}, {31, 4, 1}, {224, 99, 3}}) {
    dfa::Stream stream = support::numbers(shape.height);
    for (int trial = 0; trial < 200; ++trial) {
      dfa::Coverage coverage(shape);
      const std::uint32_t side = 1 + stream.below(std::min(shape.height, shape.width));
      coverage.add(stream.below(shape.height - side + 1), stream.below(shape.width - side + 1), side);
      double pixels = 0.0;
      for (std::uint32_t row = 0; row < shape.height; ++row) {
        for (std::uint32_t column = 0; column < shape.width; ++column) {
          pixels += coverage.under(row, column, 1);
        }
      }
      CHECK(pixels == doctest::Approx(side * side));
    }
  }
}

TEST_CASE("cells are read as they were saved, and no others") {
  const std::vector<double> cells{0.0, 1.5, 0.25, 3.0};
  dfa::Coverage coverage({2, 2, 1});
  const auto read = [&coverage](const std::vector<double>& saved) {
    const std::string bytes = states::packed(saved);
    dfa::StateReader in(bytes);
    in.field(coverage);
  };
  read(cells);
  CHECK(coverage.under(0, 0, 2) == 4.75);
  dfa::StateWriter out;
  out.field(coverage);
  CHECK(out.bytes() == states::packed(cells));
  for (const std::vector<double>& wrong :
       std::vector<std::vector<double>>{{},
                                        {0.0, 0.0, 0.0},
                                        {0.0, 0.0, 0.0, 0.0, 0.0},
                                        {0.0, -1.0, 0.0, 0.0},
                                        {0.0, std::numeric_limits<double>::quiet_NaN(), 0.0, 0.0},
                                        {0.0, std::numeric_limits<double>::infinity(), 0.0, 0.0}}) {
    coverage = dfa::Coverage({2, 2, 1});
    CHECK_THROWS_WITH_AS(read(wrong), "saved state holds a coverage of windows that cannot be", std::invalid_argument);
  }
}

TEST_CASE("windows that are asked together keep away from one another") {
  dfa::Config config = searches::textured_configs().front();  // whose windows are one pixel
  config.starts = config.population();
  config.improvements = 12.0;
  config.placements = 300;
  dfa::Racos search = searches::make(config);
  searches::run_iteration(search);
  const searches::Image best = support::image_of(
      search.space(), support::whole_of(search.population(), search.population()[0], searches::kShape.size()));
  std::vector<std::size_t> changed;
  const std::uint32_t size = search.iteration_size();
  REQUIRE(size >= searches::kShape.height * searches::kShape.width);
  for (std::uint32_t i = searches::kShape.height * searches::kShape.width; i-- > 0;) {
    const searches::Image image = searches::ask(search, i);  // the last one first: who asks does not matter
    const auto differs = std::mismatch(image.begin(), image.end(), best.begin()).first - image.begin();
    changed.push_back(static_cast<std::size_t>(differs) / searches::kShape.channels);
  }
  std::sort(changed.begin(), changed.end());
  for (std::size_t pixel = 0; pixel < changed.size(); ++pixel) {
    CHECK(changed[pixel] == pixel);
  }
}
