#include <doctest/doctest.h>

#include <cstdint>
#include <string>
#include <vector>

#include "dfa/proposal.hpp"
#include "dfa/texture.hpp"
#include "support.hpp"

namespace {

using Lines = std::vector<std::string>;

const dfa::ImageShape kShape{9, 10, 2};
const std::vector<std::uint8_t> kChannels{0xff, 0};

dfa::Rectangle woven(const dfa::Texture& texture, std::uint32_t top, std::uint32_t left, std::uint32_t height,
                     std::uint32_t width, dfa::Stream& stream) {
  dfa::Rectangle rectangle;
  dfa::place(kShape, top, left, height, width, rectangle);
  dfa::weave(texture, top, left, kChannels, stream, rectangle);
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
  dfa::Stream stream = support::numbers(1);
  return picture(woven({kind, period}, top, left, 5, 6, stream));
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

TEST_CASE("random weaves draw once per column or row, and no other weave draws") {
  dfa::Stream stream = support::numbers(2);
  const dfa::Rectangle columns = woven({dfa::Weave::kRandomColumns, 1}, 2, 1, 3, 7, stream);
  const dfa::Rectangle rows = woven({dfa::Weave::kRandomRows, 1}, 0, 0, 9, 10, stream);
  for (const dfa::Weave kind : {dfa::Weave::kPlain, dfa::Weave::kColumns, dfa::Weave::kRows, dfa::Weave::kChecks}) {
    woven({kind, 2}, 1, 1, 2, 2, stream);
  }
  dfa::Stream same = support::numbers(2);
  std::string line;
  for (int i = 0; i < 7; ++i) {
    line += same.below(2) != 0 ? '#' : '.';
  }
  CHECK(picture(columns) == Lines(3, line));
  Lines lines;
  for (int i = 0; i < 9; ++i) {
    lines.emplace_back(10, same.below(2) != 0 ? '#' : '.');
  }
  CHECK(picture(rows) == lines);
  CHECK(stream.next() == same.next());
}

TEST_CASE("rows that were turned for one texture are not turned for the next") {
  dfa::Stream stream = support::numbers(3);
  dfa::Rectangle rectangle = woven({dfa::Weave::kRows, 1}, 0, 0, 3, 3, stream);
  CHECK_FALSE(rectangle.row_turns.empty());
  dfa::weave({dfa::Weave::kPlain, 1}, 0, 0, kChannels, stream, rectangle);
  CHECK(picture(rectangle) == Lines(3, "###"));
  rectangle = woven({dfa::Weave::kRows, 1}, 0, 0, 3, 3, stream);
  dfa::place(kShape, 0, 0, 2, 2, rectangle);
  CHECK(rectangle.row_turns.empty());
}

TEST_CASE("starts are whole images, all channels alike, first in one way and then turned over") {
  const dfa::Space space(std::vector<std::uint8_t>(kShape.size(), 100), 9, dfa::Domain::kBall);
  for (std::uint32_t i = 0; i < dfa::kNumTexturedStarts; ++i) {
    CAPTURE(i);
    const std::uint32_t half = dfa::kNumTexturedStarts / 2;
    const dfa::Texture texture = dfa::kStartTextures[i % half];
    dfa::Stream stream = support::numbers(40);
    dfa::Stream same = support::numbers(40);
    dfa::Rectangle start;
    dfa::draw_textured_start(kShape, i, stream, start);
    CHECK(start.first == 0);
    CHECK(start.height == kShape.height);
    CHECK(start.length == kShape.width * kShape.channels);
    dfa::Rectangle expected;
    dfa::place(kShape, 0, 0, kShape.height, kShape.width, expected);
    dfa::weave(texture, 0, 0, {0xff, 0xff}, same, expected);
    for (std::uint32_t row = 0; row < start.height; ++row) {
      for (std::uint32_t column = 0; column < start.length; ++column) {
        REQUIRE(start.value(space, row, column) == expected.value(space, row, column) * (i < half ? 1 : -1));
      }
    }
  }
}
