#include <doctest/doctest.h>

#include <array>
#include <cstdint>
#include <limits>
#include <vector>

#include "dfa/base/random.hpp"

namespace {

using Block = std::array<std::uint32_t, 4>;

constexpr std::uint32_t kMax = std::numeric_limits<std::uint32_t>::max();

// The same stream as in tests/test_reference.py.
constexpr dfa::StreamId kGolden{0x0123456789ABCDEFULL, 9, 3, 2};

}  // namespace

TEST_CASE("philox gives the vectors that Random123 publishes for philox4x32 with 10 rounds") {
  CHECK(dfa::philox({0, 0, 0, 0}, {0, 0}) == Block{0x6627E8D5U, 0xE169C58DU, 0xBC57AC4CU, 0x9B00DBD8U});
  CHECK(dfa::philox({kMax, kMax, kMax, kMax}, {kMax, kMax}) ==
        Block{0x408F276DU, 0x41C83B0EU, 0xA20BC7C6U, 0x6D5451FDU});
  CHECK(dfa::philox({0x243F6A88U, 0x85A308D3U, 0x13198A2EU, 0x03707344U}, {0xA4093822U, 0x299F31D0U}) ==
        Block{0xD16CFE09U, 0x94FDCCEBU, 0x5001E420U, 0x24126EA1U});
}

TEST_CASE("a stream is philox with key (seed low, seed high) and counter (block, candidate, iteration, image)") {
  dfa::Stream stream({0xA4093822299F31D0ULL, 4, 3, 2});
  // Many blocks, because a stream may produce them in groups of growing size.
  for (std::uint32_t block = 0; block < 100; ++block) {
    const Block expected = dfa::philox({block, 2, 3, 4}, {0x299F31D0U, 0xA4093822U});
    for (const std::uint32_t word : expected) {
      REQUIRE(stream.next() == word);
    }
  }
}

TEST_CASE("a stream keeps its golden words") {
  dfa::Stream stream(kGolden);
  for (const std::uint32_t word : {0xA99BD0E6U, 0x3D39E671U, 0x30225419U, 0x94239F9BU, 0x00CEB273U}) {
    CHECK(stream.next() == word);
  }
}

TEST_CASE("below keeps its golden values, with words thrown back where 2^32 is no multiple of n") {
  dfa::Stream stream(kGolden);
  const std::vector<std::uint32_t> bounds{1,           2,           3,           10,          1000, 4194305U,
                                          2147483648U, 2147483649U, 2147483649U, 3221225473U, kMax, 6};
  const std::vector<std::uint32_t> expected{0,          0,           0,           5,           3,          2410289U,
                                            428607492U, 2039882405U, 1161197850U, 2873655335U, 841707243U, 0};
  for (std::size_t i = 0; i < bounds.size(); ++i) {
    CAPTURE(bounds[i]);
    CHECK(stream.below(bounds[i]) == expected[i]);
  }
  CHECK(stream.next() == 0x9DDB886FU);
}

TEST_CASE("below consumes one word for n = 1") {
  dfa::Stream stream(kGolden);
  CHECK(stream.below(1) == 0);
  CHECK(stream.next() == 0x3D39E671U);
}

TEST_CASE("below throws back about half of the words for n = 2^31 + 1 and none for a power of two") {
  const auto words_used = [](std::uint32_t n) {
    dfa::Stream stream(kGolden);
    for (int i = 0; i < 1000; ++i) {
      CHECK(stream.below(n) < n);
    }
    const std::uint32_t after = stream.next();
    dfa::Stream words(kGolden);
    int used = 0;
    while (words.next() != after) {
      ++used;
    }
    return used;
  };
  CHECK(words_used(1U << 31U) == 1000);
  const int used = words_used((1U << 31U) + 1U);
  CHECK(used > 1800);
  CHECK(used < 2200);
}

TEST_CASE("below is uniform over a small range") {
  dfa::Stream stream(kGolden);
  std::array<int, 6> counts{};
  for (int i = 0; i < 60000; ++i) {
    ++counts[stream.below(6)];
  }
  for (const int count : counts) {
    CHECK(count > 9600);  // 4.4 standard deviations
    CHECK(count < 10400);
  }
}

TEST_CASE("between includes both ends") {
  dfa::Stream stream(kGolden);
  bool low = false;
  bool high = false;
  for (int i = 0; i < 200; ++i) {
    const std::int32_t value = stream.between(-2, 2);
    REQUIRE(value >= -2);
    REQUIRE(value <= 2);
    low = low || value == -2;
    high = high || value == 2;
  }
  CHECK(low);
  CHECK(high);
  CHECK(stream.between(7, 7) == 7);
  CHECK(stream.between(-255, -255) == -255);
}
