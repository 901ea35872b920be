#include <doctest/doctest.h>

#include <cmath>
#include <cstdint>
#include <limits>
#include <stdexcept>
#include <string>

#include "dfa/base/state.hpp"

TEST_CASE("values are stored little-endian, whatever the machine") {
  dfa::StateWriter out;
  out.put(std::uint32_t{0x01020304});
  out.put(std::int16_t{-2});
  out.put(std::uint8_t{0xAB});
  out.put(std::uint64_t{0x1122334455667788});
  out.put_double(-2.0);
  out.put_bytes("xyz", 3);
  const std::string expected(
      "\x04\x03\x02\x01"
      "\xFE\xFF"
      "\xAB"
      "\x88\x77\x66\x55\x44\x33\x22\x11"
      "\x00\x00\x00\x00\x00\x00\x00\xC0"
      "xyz",
      26);
  CHECK(out.bytes() == expected);
}

TEST_CASE("every integer comes back") {
  dfa::StateWriter out;
  const auto put_ends = [&out](auto zero) {
    using T = decltype(zero);
    out.put(std::numeric_limits<T>::min());
    out.put(std::numeric_limits<T>::max());
    out.put(static_cast<T>(-1));
    out.put(static_cast<T>(0x5A));
  };
  put_ends(std::int8_t{});
  put_ends(std::uint8_t{});
  put_ends(std::int16_t{});
  put_ends(std::int32_t{});
  put_ends(std::uint32_t{});
  put_ends(std::int64_t{});
  put_ends(std::uint64_t{});
  dfa::StateReader in(out.bytes());
  const auto check_ends = [&in](auto zero) {
    using T = decltype(zero);
    CHECK(in.get<T>() == std::numeric_limits<T>::min());
    CHECK(in.get<T>() == std::numeric_limits<T>::max());
    CHECK(in.get<T>() == static_cast<T>(-1));
    CHECK(in.get<T>() == static_cast<T>(0x5A));
  };
  check_ends(std::int8_t{});
  check_ends(std::uint8_t{});
  check_ends(std::int16_t{});
  check_ends(std::int32_t{});
  check_ends(std::uint32_t{});
  check_ends(std::int64_t{});
  check_ends(std::uint64_t{});
  CHECK(in.is_at_end());
}

TEST_CASE("every double comes back, the odd ones too") {
  const double infinity = std::numeric_limits<double>::infinity();
  dfa::StateWriter out;
  for (const double value : {0.1, -1e308, 5e-324, infinity, -infinity, 0.0}) {
    out.put_double(value);
  }
  out.put_double(-0.0);
  out.put_double(std::numeric_limits<double>::quiet_NaN());
  dfa::StateReader in(out.bytes());
  for (const double value : {0.1, -1e308, 5e-324, infinity, -infinity, 0.0}) {
    CHECK(in.get_double() == value);
  }
  const double zero = in.get_double();
  CHECK(zero == 0.0);
  CHECK(std::signbit(zero));
  CHECK(std::isnan(in.get_double()));
}

TEST_CASE("reading beyond the end is refused and takes nothing") {
  const std::string bytes = "abcdef";
  dfa::StateReader in(bytes, 5);
  CHECK(std::string(in.take(2), 2) == "ab");
  CHECK_THROWS_WITH_AS(in.get<std::uint32_t>(), "saved state ends too early: it is truncated", std::invalid_argument);
  CHECK_THROWS_AS(in.get_double(), std::invalid_argument);
  CHECK_THROWS_AS(in.take(std::numeric_limits<std::size_t>::max()), std::invalid_argument);
  CHECK_FALSE(in.is_at_end());
  CHECK(std::string(in.take(3), 3) == "cde");
  CHECK(in.is_at_end());
  CHECK_THROWS_AS(in.get<std::uint8_t>(), std::invalid_argument);
}

TEST_CASE("the checksum is FNV-1a with 64 bits") {
  const auto of = [](const std::string& text) { return dfa::checksum(text.data(), text.size()); };
  CHECK(of("") == 0xCBF29CE484222325ULL);
  CHECK(of("a") == 0xAF63DC4C8601EC8CULL);
  CHECK(of("foobar") == 0x85944171F73967E8ULL);
  CHECK(of(std::string("\xFF", 1)) != of(std::string("\x7F", 1)));
}
