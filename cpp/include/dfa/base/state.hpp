#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <stdexcept>
#include <string>
#include <type_traits>

namespace dfa {

/// Appends fixed-width little-endian values to a string of bytes.
class StateWriter {
 public:
  template <typename T>
  void put(T value) {
    static_assert(std::is_integral_v<T>);
    using Unsigned = std::make_unsigned_t<T>;
    auto rest = static_cast<std::uint64_t>(static_cast<Unsigned>(value));
    for (std::size_t i = 0; i < sizeof(T); ++i) {
      bytes_.push_back(static_cast<char>(rest & 0xffU));
      rest >>= 8U;
    }
  }
  void put_double(double value) {
    std::uint64_t bits = 0;
    std::memcpy(&bits, &value, sizeof bits);
    put(bits);
  }
  void put_bytes(const void* data, std::size_t size) { bytes_.append(static_cast<const char*>(data), size); }

  const std::string& bytes() const { return bytes_; }

 private:
  std::string bytes_;
};

/// Reads what StateWriter wrote. Throws std::invalid_argument when the bytes end too early.
class StateReader {
 public:
  explicit StateReader(const std::string& bytes) : bytes_(bytes), end_(bytes.size()) {}
  StateReader(const std::string& bytes, std::size_t end) : bytes_(bytes), end_(end) {}

  template <typename T>
  T get() {
    static_assert(std::is_integral_v<T>);
    const char* data = take(sizeof(T));
    std::uint64_t value = 0;
    for (std::size_t i = 0; i < sizeof(T); ++i) {
      value |= std::uint64_t{static_cast<unsigned char>(data[i])} << (8U * i);
    }
    return static_cast<T>(static_cast<std::make_unsigned_t<T>>(value));
  }
  double get_double() {
    const auto bits = get<std::uint64_t>();
    double value = 0.0;
    std::memcpy(&value, &bits, sizeof value);
    return value;
  }
  const char* take(std::size_t size) {
    if (size > end_ - position_) {
      throw std::invalid_argument("saved state ends too early: it is truncated");
    }
    const char* data = bytes_.data() + position_;
    position_ += size;
    return data;
  }
  bool is_at_end() const { return position_ == end_; }

 private:
  const std::string& bytes_;
  std::size_t end_;
  std::size_t position_ = 0;
};

/// FNV-1a, 64 bits: finds damage, not malice.
inline std::uint64_t checksum(const char* data, std::size_t size) {
  std::uint64_t hash = 14695981039346656037ULL;
  for (std::size_t i = 0; i < size; ++i) {
    hash = (hash ^ static_cast<unsigned char>(data[i])) * 1099511628211ULL;
  }
  return hash;
}

/// Reads the state that begins with this magic number and version and ends with its checksum. Throws
/// std::invalid_argument where it does not. `bytes` must outlive the reader.
inline StateReader open_state(const std::string& bytes, std::uint32_t magic, std::uint32_t version) {
  if (bytes.size() < sizeof(std::uint64_t)) {
    throw std::invalid_argument("saved state ends too early: it is truncated");
  }
  const std::size_t end = bytes.size() - sizeof(std::uint64_t);
  StateReader in(bytes, end);
  if (in.get<std::uint32_t>() != magic) {
    throw std::invalid_argument("not a saved state of this optimizer");
  }
  const auto found = in.get<std::uint32_t>();
  if (found != version) {
    throw std::invalid_argument("saved state has version " + std::to_string(found) + ", this build reads version " +
                                std::to_string(version));
  }
  const std::string tail = bytes.substr(end);
  if (StateReader(tail).get<std::uint64_t>() != checksum(bytes.data(), end)) {
    throw std::invalid_argument("saved state is damaged: its checksum does not match");
  }
  return in;
}

}  // namespace dfa
