#include <doctest/doctest.h>

#include <cstdint>
#include <string>
#include <vector>

#include "dfa/search/proposal.hpp"
#include "dfa/search/texture.hpp"

namespace {

using Lines = std::vector<std::string>;

const dfa::ImageShape kShape{9, 10, 2};
const std::vector<std::uint8_t> kChannels{0xff, 0};

dfa::Rectangle woven(const dfa::Texture& texture, std::uint32_t top, std::uint32_t left, std::uint32_t height,
                     std::uint32_t width) {
  dfa::Rectangle rectangle;
  dfa::place(kShape, top, left, height, width, rectangle);
  dfa::weave(texture, top, left, kChannels, rectangle);
  return rectangle;
}

// '#' where the first channel takes its upper end, which is where the second one must take its lower.
Lines picture(const dfa::Rectangle& rectangle) {
  const dfa::Space space(std::vector<std::uint8_t>(kShape.size(), 100), 9, dfa::Domain::kBall);
  Lines lines;
  for (std::uint32_t row = 0; row < rectangle.height; ++row) {
    std::string line;
    for (std::uint32_t column = 0; column < rectangle.length; column += kShape.channels) {
      const std::int32_t value = rectangle.value(space, row, column);
      CHECK(rectangle.value(space, row, column + 1) == -value);
      line += value > 0 ? '#' : '.';
    }
    lines.push_back(line);
  }
  return lines;
}

Lines picture(dfa::Weave kind, std::uint32_t period, std::uint32_t top, std::uint32_t left) {
  return picture(woven({kind, period}, top, left, 5, 6));
}

}  // namespace

TEST_CASE("weaves alternate at absolute rows and columns") {
  CHECK(picture(dfa::Weave::kPlain, 1, 1, 3) == Lines(5, "######"));
  CHECK(picture(dfa::Weave::kColumns, 1, 1, 0) == Lines(5, ".#.#.#"));
  CHECK(picture(dfa::Weave::kColumns, 1, 0, 3) == Lines(5, "#.#.#."));
  CHECK(picture(dfa::Weave::kColumns, 4, 2, 3) == Lines(5, ".####."));
  CHECK(picture(dfa::Weave::kRows, 2, 0, 1) == Lines{"......", "......", "######", "######", "......"});
  CHECK(picture(dfa::Weave::kRows, 2, 3, 4) == Lines{"######", "......", "......", "######", "######"});
  CHECK(picture(dfa::Weave::kChecks, 1, 0, 0) == Lines{".#.#.#", "#.#.#.", ".#.#.#", "#.#.#.", ".#.#.#"});
  CHECK(picture(dfa::Weave::kChecks, 2, 1, 3) == Lines{"#..##.", ".##..#", ".##..#", "#..##.", "#..##."});
}

TEST_CASE("rows that were turned for one texture are not turned for the next") {
  dfa::Rectangle rectangle = woven({dfa::Weave::kRows, 1}, 0, 0, 3, 3);
  CHECK_FALSE(rectangle.row_turns.empty());
  dfa::weave({dfa::Weave::kPlain, 1}, 0, 0, kChannels, rectangle);
  CHECK(picture(rectangle) == Lines(3, "###"));
  rectangle = woven({dfa::Weave::kRows, 1}, 0, 0, 3, 3);
  dfa::place(kShape, 0, 0, 2, 2, rectangle);
  CHECK(rectangle.row_turns.empty());
}

TEST_CASE("each texture of a start is there once as it is and once turned over") {
  for (std::uint32_t i = 0; i < dfa::kNumTexturedStarts; ++i) {
    const std::uint32_t other = dfa::turned_over(i);
    REQUIRE(other < dfa::kNumTexturedStarts);
    CHECK(dfa::turned_over(other) == i);
    CHECK(dfa::kTexturedStarts[i].texture.weave == dfa::kTexturedStarts[other].texture.weave);
    CHECK(dfa::kTexturedStarts[i].texture.period == dfa::kTexturedStarts[other].texture.period);
    CHECK(dfa::kTexturedStarts[i].is_turned != dfa::kTexturedStarts[other].is_turned);
  }
}

TEST_CASE("starts are whole images, all channels alike, as they are or turned over") {
  const dfa::Space space(std::vector<std::uint8_t>(kShape.size(), 100), 9, dfa::Domain::kBall);
  for (std::uint32_t i = 0; i < dfa::kNumTexturedStarts; ++i) {
    CAPTURE(i);
    const dfa::Texture texture = dfa::kTexturedStarts[i].texture;
    dfa::Rectangle start;
    dfa::weave_start(kShape, i, start);
    CHECK(start.first == 0);
    CHECK(start.height == kShape.height);
    CHECK(start.length == kShape.width * kShape.channels);
    dfa::Rectangle expected;
    dfa::place(kShape, 0, 0, kShape.height, kShape.width, expected);
    dfa::weave(texture, 0, 0, {0xff, 0xff}, expected);
    for (std::uint32_t row = 0; row < start.height; ++row) {
      for (std::uint32_t column = 0; column < start.length; ++column) {
        REQUIRE(start.value(space, row, column) ==
                expected.value(space, row, column) * (dfa::kTexturedStarts[i].is_turned ? -1 : 1));
      }
    }
  }
}
