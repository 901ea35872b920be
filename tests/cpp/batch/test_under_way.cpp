#include <doctest/doctest.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <stdexcept>
#include <string>
#include <vector>

#include "window.hpp"

using windows::budget;
using windows::Window;

namespace {

using Images = std::vector<std::int64_t>;

}  // namespace

TEST_CASE("what is saved goes on in more places and in fewer") {
  Window window(3, 100, budget(100));
  window.admit(0, 0);
  window.admit(2, 2);
  window.propose();
  window.tell(std::vector<double>(10, 1.0));
  const std::string state = window.places.save(0.0);
  for (const std::size_t capacity : {std::size_t{1}, std::size_t{3}, std::size_t{7}}) {
    Window resumed(capacity, 100, budget(100));
    resumed.places.load(state, 0.0);
    CHECK(resumed.places.capacity() == std::max<std::size_t>(capacity, 3));
    CHECK(resumed.places.is_taken(0));
    CHECK_FALSE(resumed.places.is_taken(1));
    CHECK(resumed.propose() == Images{0, 0, 0, 2, 2, 2});
    CHECK(resumed.batch.size() == 2);
  }
}

TEST_CASE("batches are told in any order in which the rows of each place keep theirs") {
  Window window(4, 7, budget(100));
  for (std::size_t place = 0; place < 4; ++place) {
    window.admit(place, static_cast<std::int64_t>(place));
  }
  CHECK(window.propose() == Images{0, 0, 0, 0, 0, 1, 1});
  CHECK(window.places.propose(window.images.data(), 3) == 3);  // the rest of image 1
  CHECK(window.places.propose(window.images.data(), 5) == 5);  // image 2
  CHECK(window.places.may_be_told(0));
  CHECK_FALSE(window.places.may_be_told(1));
  CHECK(window.places.may_be_told(2));
  CHECK_FALSE(window.places.may_be_told(3));
  const std::vector<double> degrees(7, 1.0);
  CHECK_THROWS_AS(window.places.tell(degrees.data(), 0.5, 0.0, 1), std::logic_error);
  CHECK(window.places.tell(degrees.data(), 0.5, 0.0, 2).empty());
  CHECK(window.places.spent(2) == 5);
  CHECK(window.places.tell(degrees.data(), 0.5, 0.0).empty());
  CHECK(window.places.may_be_told(0));
  CHECK(window.places.tell(degrees.data(), 0.5, 0.0).empty());
  CHECK(window.places.spent(1) == 5);
  CHECK_THROWS_AS(window.places.propose(window.images.data(), 8), std::invalid_argument);
  CHECK_THROWS_AS(window.places.propose(window.images.data(), 0), std::invalid_argument);
}
