#pragma once

#include <doctest/doctest.h>

#include <cstddef>
#include <cstdint>
#include <limits>
#include <vector>

#include "dfa/batch/places.hpp"

namespace windows {

constexpr double kNever = std::numeric_limits<double>::infinity();

struct Window {
  explicit Window(std::size_t capacity, std::size_t batch_size, const dfa::Budget& budget)
      : batch(dfa::Config(), {2, 2, 1}, 7, 1),
        places(batch, nullptr, capacity, batch_size, budget),
        images(4 * batch_size) {}

  void admit(std::size_t place, std::int64_t image, double deadline = kNever) {
    const std::size_t slot =
        batch.add(dfa::Space({9, 99, 199, 250}, 5, dfa::Domain::kBall), static_cast<std::uint32_t>(image));
    places.admit(place, slot, image, 10 * image, deadline);
  }
  // The images of the run that the next batch holds, in order.
  std::vector<std::int64_t> propose() {
    std::vector<std::int64_t> of(places.propose(images.data()));
    if (of.empty()) {
      return of;
    }
    std::vector<std::int64_t> goals(of.size());
    places.describe_rows(of.data(), goals.data());
    for (std::size_t row = 0; row < of.size(); ++row) {
      CHECK(goals[row] == 10 * of[row]);
    }
    return of;
  }
  std::vector<std::size_t> tell(const std::vector<double>& degrees, double now = 0.0) {
    REQUIRE(degrees.size() == places.num_rows());
    return places.tell(degrees.data(), 0.5, now);
  }

  dfa::Batch batch;
  dfa::Places places;
  std::vector<std::uint8_t> images;
};

inline dfa::Budget budget(std::uint64_t queries, std::uint64_t iterations = 1000) {
  dfa::Budget result;
  result.queries = queries;
  result.iterations = iterations;
  return result;
}

}  // namespace windows
