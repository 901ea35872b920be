#include <doctest/doctest.h>

#include <array>
#include <cmath>
#include <cstdint>
#include <limits>
#include <map>
#include <memory>
#include <stdexcept>
#include <string>
#include <vector>

#include "dfa/base/state.hpp"
#include "states.hpp"

using states::packed;

namespace {

enum class Fruit : std::uint8_t { kApple, kPear };
constexpr std::array<const char*, 2> names_of(Fruit) { return {"apple", "pear"}; }

// A class with a field of every type.
struct Everything {
  bool is_ripe = false;
  Fruit fruit = Fruit::kApple;
  std::int16_t signed_number = 0;
  double real = 0.0;
  std::string text;
  std::vector<std::uint8_t> bytes;
  std::vector<std::int16_t> numbers;
  std::vector<std::string> texts;
  std::array<double, 2> pair{};
  std::map<std::string, std::int32_t> by_name;
  std::shared_ptr<const std::vector<std::uint64_t>> shared;
  std::shared_ptr<const std::string> nothing;

  template <typename Self, typename State>
  static void describe(Self& self, State& state) {
    state.field(self.is_ripe);
    state.field(self.fruit);
    state.field(self.signed_number);
    state.field(self.real);
    state.field(self.text);
    state.field(self.bytes);
    state.field(self.numbers);
    state.field(self.texts);
    state.field(self.pair);
    state.field(self.by_name);
    state.part("shared", self.shared);
    state.field(self.nothing);
    state.require(self.real < 100.0, "too much");
  }
};

Everything filled() {
  Everything all;
  all.is_ripe = true;
  all.fruit = Fruit::kPear;
  all.signed_number = -2;
  all.real = -0.1;
  all.text = std::string("a\0b", 3);
  all.bytes = {1, 2, 255};
  all.numbers = {-32768, 32767};
  all.texts = {"", "x"};
  all.pair = {1.5, -1.5};
  all.by_name = {{"one", 1}, {"two", -2}};
  all.shared = std::make_shared<const std::vector<std::uint64_t>>(3, 7);
  return all;
}

struct Configured {
  std::uint32_t setting = 0;
  std::uint32_t value = 0;

  template <typename Self, typename State>
  static void describe(Self& self, State& state) {
    state.given("setting", self.setting);
    state.field(self.value);
  }
};

template <typename T>
T read(const std::string& bytes) {
  T value{};
  dfa::StateReader in(bytes);
  in.field(value);
  in.finish();
  return value;
}

constexpr const char* kTruncated = "saved state ends too early: it is truncated";

}  // namespace

TEST_CASE("values are stored little-endian, whatever the machine") {
  dfa::StateWriter out;
  out.field(std::uint32_t{0x01020304});
  out.field(std::int16_t{-2});
  out.field(std::uint8_t{0xAB});
  out.field(std::uint64_t{0x1122334455667788});
  out.field(-2.0);
  out.field(std::vector<std::int16_t>{1, -2});
  out.part("p", std::uint8_t{9});
  const std::string expected(
      "\x04\x03\x02\x01"
      "\xFE\xFF"
      "\xAB"
      "\x88\x77\x66\x55\x44\x33\x22\x11"
      "\x00\x00\x00\x00\x00\x00\x00\xC0"
      "\x02\x00\x00\x00\x00\x00\x00\x00"
      "\x01\x00\xFE\xFF"
      "\x01\x00\x00\x00\x00\x00\x00\x00p"
      "\x01\x00\x00\x00\x00\x00\x00\x00\x09",
      53);
  CHECK(out.bytes() == expected);
}

TEST_CASE("every integer comes back") {
  const auto check_ends = [](auto zero) {
    using T = decltype(zero);
    for (const T value :
         {std::numeric_limits<T>::min(), std::numeric_limits<T>::max(), static_cast<T>(-1), static_cast<T>(0x5A)}) {
      CHECK(packed(value).size() == sizeof(T));
      CHECK(read<T>(packed(value)) == value);
    }
  };
  check_ends(std::int8_t{});
  check_ends(std::uint8_t{});
  check_ends(std::int16_t{});
  check_ends(std::int32_t{});
  check_ends(std::uint32_t{});
  check_ends(std::int64_t{});
  check_ends(std::uint64_t{});
}

TEST_CASE("every double comes back, the odd ones too") {
  const double infinity = std::numeric_limits<double>::infinity();
  for (const double value : {0.1, -1e308, 5e-324, infinity, -infinity, 0.0}) {
    CHECK(read<double>(packed(value)) == value);
  }
  CHECK(std::signbit(read<double>(packed(-0.0))));
  CHECK(std::isnan(read<double>(packed(std::numeric_limits<double>::quiet_NaN()))));
}

TEST_CASE("a class comes back with every field, also over other values") {
  const Everything all = filled();
  Everything back = filled();
  back.bytes = {9, 9, 9, 9};
  back.by_name = {{"three", 3}};
  back.nothing = std::make_shared<const std::string>("something");
  states::copy(all, back);
  CHECK(packed(back) == packed(all));
  CHECK(back.is_ripe);
  CHECK(back.fruit == Fruit::kPear);
  CHECK(back.signed_number == -2);
  CHECK(back.real == -0.1);
  CHECK(back.text == all.text);
  CHECK(back.bytes == all.bytes);
  CHECK(back.numbers == all.numbers);
  CHECK(back.texts == all.texts);
  CHECK(back.pair == all.pair);
  CHECK(back.by_name == all.by_name);
  CHECK(*back.shared == *all.shared);
  CHECK_FALSE(static_cast<bool>(back.nothing));
}

TEST_CASE("what ends too early is refused at every byte") {
  const std::string bytes = packed(filled());
  for (std::size_t size = 0; size < bytes.size(); ++size) {
    const std::string part = bytes.substr(0, size);
    CHECK_THROWS_WITH_AS(read<Everything>(part), kTruncated, std::invalid_argument);
  }
  CHECK_THROWS_WITH_AS(read<Everything>(bytes + "x"), "saved state is longer than its contents", std::invalid_argument);
}

TEST_CASE("a number of values that the bytes cannot hold is refused before any room is made for them") {
  for (const std::uint64_t wrong : {std::uint64_t{9}, std::uint64_t{1} << 40U, std::uint64_t{1} << 63U,
                                    (std::uint64_t{1} << 63U) + 4, ~std::uint64_t{0}}) {
    const std::string bytes = packed(wrong) + std::string(8, '\0');
    CHECK_THROWS_WITH_AS(read<std::string>(bytes), kTruncated, std::invalid_argument);
    CHECK_THROWS_WITH_AS(read<std::vector<std::uint8_t>>(bytes), kTruncated, std::invalid_argument);
    CHECK_THROWS_WITH_AS(read<std::vector<std::uint64_t>>(bytes), kTruncated, std::invalid_argument);
    CHECK_THROWS_WITH_AS(read<std::vector<std::string>>(bytes), kTruncated, std::invalid_argument);
    using Map = std::map<std::string, std::int32_t>;
    CHECK_THROWS_WITH_AS(read<Map>(bytes), kTruncated, std::invalid_argument);
  }
  // As many as there are bytes, of which each takes more.
  const std::string strings = packed(std::uint64_t{16}) + std::string(16, '\0');
  CHECK_THROWS_WITH_AS(read<std::vector<std::string>>(strings), kTruncated, std::invalid_argument);
}

TEST_CASE("what cannot be is refused") {
  CHECK_THROWS_WITH_AS(read<bool>("\x02"), "saved state holds a choice that there is not", std::invalid_argument);
  CHECK_THROWS_WITH_AS(read<Fruit>("\x02"), "saved state holds a choice that there is not", std::invalid_argument);
  CHECK(read<Fruit>("\x01") == Fruit::kPear);
  Everything much = filled();
  much.real = 100.0;
  const std::string bytes = packed(much);  // writing asks nothing
  CHECK_THROWS_WITH_AS(read<Everything>(bytes), "saved state holds too much", std::invalid_argument);
}

TEST_CASE("a part has its name and its length") {
  dfa::StateWriter out;
  out.part("numbers", std::vector<std::uint8_t>{1, 2});
  const std::string bytes = out.bytes();
  std::vector<std::uint8_t> numbers;
  const auto read_part = [&numbers](const std::string& from, const char* name) {
    dfa::StateReader in(from);
    in.part(name, numbers);
    in.finish();
  };
  read_part(bytes, "numbers");
  CHECK(numbers == std::vector<std::uint8_t>{1, 2});
  CHECK_THROWS_WITH_AS(read_part(bytes, "letters"), "saved state lacks its part letters", std::invalid_argument);
  const std::size_t length = packed(std::string("numbers")).size();
  const auto with_length = [&](std::uint64_t size) {
    std::string changed = bytes + "x";
    return changed.replace(length, 8, packed(size));
  };
  CHECK_THROWS_WITH_AS(read_part(with_length(11), "numbers"),
                       "saved state is longer than its contents, in its part numbers", std::invalid_argument);
  CHECK_THROWS_WITH_AS(read_part(with_length(9), "numbers"), kTruncated, std::invalid_argument);
  CHECK_THROWS_WITH_AS(read_part(with_length(12), "numbers"), kTruncated, std::invalid_argument);
  CHECK_THROWS_WITH_AS(read_part(with_length(~std::uint64_t{0}), "numbers"), kTruncated, std::invalid_argument);
}

TEST_CASE("what is given must be the same") {
  const std::string bytes = packed(Configured{7, 8});
  Configured same{7, 0};
  dfa::StateReader in(bytes);
  in.field(same);
  CHECK(same.value == 8);
  for (const std::string& from : {bytes, bytes.substr(0, 5), std::string()}) {
    Configured other{6, 0};
    dfa::StateReader again(from);
    CHECK_THROWS_WITH_AS(again.field(other), "saved state belongs to another setting", std::invalid_argument);
  }
}

TEST_CASE("a state is sealed, and opened by its kind") {
  const std::string state = dfa::save_state("a thing", filled());
  Everything back;
  dfa::load_state("a thing", state, back);
  CHECK(dfa::save_state("a thing", back) == state);
  const auto check_refused = [](const std::string& bytes, const std::string& message) {
    Everything nothing;
    CHECK_THROWS_WITH_AS(dfa::load_state("a thing", bytes, nothing), message.c_str(), std::invalid_argument);
  };
  check_refused(dfa::save_state("a plan", filled()), "not a saved state of a thing, but of a plan");
  for (std::size_t size = 0; size < state.size(); ++size) {
    check_refused(state.substr(0, size), kTruncated);
  }
  check_refused(state + "x", "saved state is longer than its contents");
  check_refused(states::lengthened(state, "x"), "saved state is longer than its contents");
  for (std::size_t at = 16; at < state.size(); ++at) {
    std::string damaged = state;
    damaged[at] = static_cast<char>(damaged[at] ^ (1 << at % 8));
    check_refused(damaged, "saved state is damaged: its checksum does not match");
  }
}

TEST_CASE("states of other builds are refused by their version, with what to do") {
  const std::string state = dfa::save_state("a thing", filled());
  const auto check_refused = [](const std::string& bytes, const std::string& message) {
    CHECK_THROWS_WITH_AS(dfa::open_state("a thing", bytes), message.c_str(), std::invalid_argument);
  };
  const std::string advice = ": go on with the build that wrote it, or begin anew";
  const std::string mine = std::to_string(dfa::kStateVersion);
  const std::string later = std::to_string(dfa::kStateVersion + 1);
  check_refused(states::patched(state, 4, packed(dfa::kStateVersion + 1)),
                "saved state has version " + later + ", this build reads version " + mine + advice);
  // Searches, those with a box, with restarts, coverage and textures, archives and places.
  for (const std::uint32_t magic : {0x53414644U, 0x42414644U, 0xF7414644U, 0x41414644U, 0x50414644U}) {
    for (const std::uint32_t version : {1U, 2U}) {
      check_refused(
          packed(magic) + packed(version) + std::string(40, 'x'),
          "saved state has version " + std::to_string(version) + ", this build reads version " + mine + advice);
    }
  }
  const std::string none =
      "not a saved state of dfa, or one that was written before version 3; this build reads version " + mine + advice;
  check_refused(std::string(40, '\0'), none);  // lessons and batches had no version
  check_refused("D" + state, none);
}

TEST_CASE("the checksum is FNV-1a with 64 bits") {
  const auto of = [](const std::string& text) { return dfa::checksum(text.data(), text.size()); };
  CHECK(of("") == 0xCBF29CE484222325ULL);
  CHECK(of("a") == 0xAF63DC4C8601EC8CULL);
  CHECK(of("foobar") == 0x85944171F73967E8ULL);
  CHECK(of(std::string("\xFF", 1)) != of(std::string("\x7F", 1)));
}
