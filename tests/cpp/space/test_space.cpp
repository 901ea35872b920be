#include <doctest/doctest.h>

#include <cstdint>
#include <memory>
#include <stdexcept>
#include <vector>

#include "dfa/space/space.hpp"

namespace {

using Bytes = std::vector<std::uint8_t>;

std::shared_ptr<const dfa::RadiusMap> radii(Bytes values) {
  return std::make_shared<const dfa::RadiusMap>(std::move(values));
}

void check_bounds(const dfa::Space& space, std::uint32_t p, std::int32_t low, std::int32_t high) {
  CAPTURE(p);
  CHECK(space.bounds(p).low == low);
  CHECK(space.bounds(p).high == high);
}

}  // namespace

TEST_CASE("a ball of one radius bounds every coordinate alike") {
  const dfa::Space space({0, 3, 255}, 10, dfa::Domain::kBall);
  for (std::uint32_t p = 0; p < 3; ++p) {
    check_bounds(space, p, -10, 10);
    CHECK(space.free_coordinate(p) == p);
  }
  CHECK(space.free_count() == 3);
  CHECK(space.size() == 3);
  CHECK(space.radii() == nullptr);
}

TEST_CASE("the valid domain ends where the pixel would leave 0..255") {
  const dfa::Space space({0, 3, 128, 250, 255}, 10, dfa::Domain::kValid);
  check_bounds(space, 0, 0, 10);
  check_bounds(space, 1, -3, 10);
  check_bounds(space, 2, -10, 10);
  check_bounds(space, 3, -10, 5);
  check_bounds(space, 4, -10, 0);
  const dfa::Space whole({0, 128, 255}, 255, dfa::Domain::kValid);
  check_bounds(whole, 0, 0, 255);
  check_bounds(whole, 1, -128, 127);
  check_bounds(whole, 2, -255, 0);
}

TEST_CASE("coordinates of radius 0 stay, the others are free in ascending order") {
  for (const dfa::Domain domain : {dfa::Domain::kBall, dfa::Domain::kValid}) {
    const dfa::Space space({9, 9, 0, 9, 250}, radii({0, 4, 0, 255, 7}), domain);
    CHECK(space.free_count() == 3);
    CHECK(space.free_coordinate(0) == 1);
    CHECK(space.free_coordinate(1) == 3);
    CHECK(space.free_coordinate(2) == 4);
    check_bounds(space, 0, 0, 0);
    check_bounds(space, 1, -4, 4);
    check_bounds(space, 2, 0, 0);
    const bool is_valid = domain == dfa::Domain::kValid;
    check_bounds(space, 3, is_valid ? -9 : -255, is_valid ? 246 : 255);
    check_bounds(space, 4, -7, is_valid ? 5 : 7);
    CHECK(space.largest() == 255);
  }
}

TEST_CASE("a pixel is the clamped sum") {
  const dfa::Space space({0, 5, 250, 255}, 255, dfa::Domain::kBall);
  CHECK(space.pixel(0, -255) == 0);
  CHECK(space.pixel(0, 255) == 255);
  CHECK(space.pixel(1, -5) == 0);
  CHECK(space.pixel(1, -6) == 0);
  CHECK(space.pixel(1, 7) == 12);
  CHECK(space.pixel(2, 5) == 255);
  CHECK(space.pixel(2, 6) == 255);
  CHECK(space.pixel(3, 255) == 255);
  CHECK(space.pixel(3, -255) == 0);
}

TEST_CASE("the largest magnitude is the radius or the largest of the radii") {
  CHECK(dfa::Space({1, 2}, 77, dfa::Domain::kValid).largest() == 77);
  CHECK(dfa::Space({1, 2, 3}, radii({5, 128, 6}), dfa::Domain::kBall).largest() == 128);
}

TEST_CASE("balls without a free coordinate or with radii of another image are refused") {
  using dfa::Domain;
  using dfa::Space;
  CHECK_THROWS_WITH_AS(Space({1}, 0, Domain::kBall), "radius must be in 1..255 grey levels, got 0",
                       std::invalid_argument);
  CHECK_THROWS_AS(Space({}, 1, Domain::kBall), std::invalid_argument);
  CHECK_THROWS_WITH_AS(Space({1, 2}, radii({1}), Domain::kBall), "expected one radius per coordinate (2), got 1",
                       std::invalid_argument);
  CHECK_THROWS_WITH_AS(Space({1, 2}, radii({1, 1, 1}), Domain::kBall), "expected one radius per coordinate (2), got 3",
                       std::invalid_argument);
  CHECK_THROWS_WITH_AS(Space({1, 2}, nullptr, Domain::kBall), "expected one radius per coordinate (2), got 0",
                       std::invalid_argument);
  CHECK_THROWS_WITH_AS(Space({1, 2}, radii({0, 0}), Domain::kBall), "every radius is 0: no coordinate may change",
                       std::invalid_argument);
}

TEST_CASE("shapes with one size are not the same shape") {
  const dfa::ImageShape shape{2, 3, 4};
  CHECK(shape.size() == 24);
  CHECK(shape == dfa::ImageShape{2, 3, 4});
  CHECK_FALSE(shape == dfa::ImageShape{3, 2, 4});
  CHECK_FALSE(shape == dfa::ImageShape{2, 4, 3});
  CHECK_FALSE(shape == dfa::ImageShape{2, 3, 5});
  CHECK(dfa::ImageShape{1U << 31U, 1U << 31U, 2}.size() == std::size_t{1} << 63U);
}
