#include <doctest/doctest.h>

#include <stdexcept>

#include "dfa/base/image.hpp"

TEST_CASE("a shape holds a value, and no more than a signed integer of 32 bits can number") {
  for (const dfa::ImageShape& shape : {dfa::ImageShape{1, 1, 1}, {1U << 30U, 1, 1}, {1, 1, 0x7fffffffU}}) {
    CHECK_NOTHROW(dfa::validate(shape));
  }
  for (const dfa::ImageShape& shape : {dfa::ImageShape{0, 1, 1}, {1, 0, 1}, {1, 1, 0}}) {
    CHECK_THROWS_WITH_AS(dfa::validate(shape), "an image needs a height, a width and channels of at least 1",
                         std::invalid_argument);
  }
  // The product of the second is 0 in 64 bits.
  for (const dfa::ImageShape& shape :
       {dfa::ImageShape{1U << 31U, 1, 1}, {1U << 22U, 1U << 22U, 1U << 20U}, {0xffffffffU, 0xffffffffU, 0xffffffffU}}) {
    CHECK_THROWS_AS(dfa::validate(shape), std::invalid_argument);
  }
}
