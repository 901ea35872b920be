#pragma once

// What tests of saved states need: states taken apart, changed, and made whole again.

#include <doctest/doctest.h>

#include <cstddef>
#include <cstdint>
#include <string>

#include "dfa/base/state.hpp"

namespace states {

constexpr std::size_t kHead = 16;  // magic number, version, length
constexpr std::size_t kChecksum = 8;

template <typename T>
std::string packed(const T& value) {
  dfa::StateWriter out;
  out.field(value);
  return out.bytes();
}

/// A state with its length and checksum made right.
inline std::string sealed(std::string state) {
  state.replace(8, 8, packed(std::uint64_t{state.size()}));
  const std::size_t end = state.size() - kChecksum;
  state.replace(end, kChecksum, packed(dfa::checksum(state.data(), end)));
  return state;
}

/// With bytes replaced.
inline std::string patched(std::string state, std::size_t at, const std::string& bytes) {
  state.replace(at, bytes.size(), bytes);
  return sealed(state);
}

/// With bytes after its contents.
inline std::string lengthened(std::string state, const std::string& bytes) {
  state.insert(state.size() - kChecksum, bytes);
  return sealed(state);
}

/// Where the contents of the first part of that name begin.
inline std::size_t part(const std::string& state, const std::string& name) {
  const std::string label = packed(name);
  const std::size_t at = state.find(label);
  REQUIRE(at != std::string::npos);
  return at + label.size() + sizeof(std::uint64_t);
}

/// With other contents in a part, which lies in another one, or (no name) in none.
inline std::string with_part(std::string state, const std::string& outer, const std::string& name,
                             const std::string& contents) {
  const auto length = [&state](const std::string& of) {
    const std::size_t at = part(state, of) - sizeof(std::uint64_t);
    std::uint64_t size = 0;
    dfa::StateReader(state, at, state.size()).field(size);
    return size;
  };
  const std::uint64_t size = length(name);
  if (!outer.empty()) {
    const std::uint64_t outer_size = length(outer) + contents.size() - size;
    state.replace(part(state, outer) - sizeof(std::uint64_t), sizeof(std::uint64_t), packed(outer_size));
  }
  const std::size_t at = part(state, name);
  state.replace(at, static_cast<std::size_t>(size), contents);
  state.replace(at - sizeof(std::uint64_t), sizeof(std::uint64_t), packed(std::uint64_t{contents.size()}));
  return sealed(state);
}

/// What reads the fields of `from` into `to`, without a head.
template <typename From, typename To>
void copy(const From& from, To& to) {
  const std::string bytes = packed(from);
  dfa::StateReader in(bytes);
  in.field(to);
  in.finish();
}

}  // namespace states
