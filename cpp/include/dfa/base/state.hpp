#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <map>
#include <memory>
#include <stdexcept>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

namespace dfa {

// A saved state is a head (magic number, version, length, and what it is a state of), named parts, and a checksum. Its
// contents stand beside the fields of each class, once for writing and reading:
//
//   template <typename Self, typename State>
//   static void describe(Self& self, State& state) {
//     state.field(self.sum);            // one line a field, in the order of the bytes
//     state.part("gains", self.gains);  // the same, under a name and held to its length
//     state.given("shape", self.shape); // not read: what reads it must hold the same already
//     state.require(self.sum >= 0, "a negative sum");  // of what was read
//   }
//
// What the fields alone cannot tell, and what follows from them, is settled after reading, by `restore` functions.

/// Of every state there is. Any change of what a class describes raises it.
constexpr std::uint32_t kStateVersion = 6;

/// Appends fields to a string of bytes, integers and doubles in little-endian order.
class StateWriter {
 public:
  static constexpr bool kReads = false;

  template <typename T>
  void field(const T& value) {
    if constexpr (std::is_same_v<T, double>) {
      std::uint64_t bits = 0;
      std::memcpy(&bits, &value, sizeof bits);
      put(bits);
    } else if constexpr (std::is_enum_v<T> || std::is_same_v<T, bool>) {
      put(static_cast<std::uint8_t>(value));
    } else if constexpr (std::is_integral_v<T>) {
      put(value);
    } else {
      T::describe(value, *this);
    }
  }
  void field(const std::string& text) {
    put(std::uint64_t{text.size()});
    bytes_ += text;
  }
  template <typename T>
  void field(const std::vector<T>& values) {
    put(std::uint64_t{values.size()});
    if constexpr (std::is_integral_v<T>) {
      char* to = extend(values.size() * sizeof(T));
      for (const T value : values) {
        to = store(value, to);
      }
    } else {
      for (const T& value : values) {
        field(value);
      }
    }
  }
  template <typename T, std::size_t n>
  void field(const std::array<T, n>& values) {
    for (const T& value : values) {
      field(value);
    }
  }
  template <typename Key, typename T>
  void field(const std::map<Key, T>& values) {
    put(std::uint64_t{values.size()});
    for (const auto& [key, value] : values) {
      field(key);
      field(value);
    }
  }
  template <typename T>
  void field(const std::shared_ptr<T>& value) {
    field(value != nullptr);
    if (value) {
      field(*value);
    }
  }

  template <typename T>
  void part(const char* name, const T& value) {
    field(std::string(name));
    const std::size_t at = bytes_.size();
    put(std::uint64_t{0});
    const std::size_t begin = bytes_.size();
    field(value);
    store(std::uint64_t{bytes_.size() - begin}, &bytes_[at]);
  }
  template <typename T>
  void given(const char* name, const T& value) {
    part(name, value);
  }
  void require(bool, const char*) {}

  const std::string& bytes() const { return bytes_; }

 private:
  template <typename T>
  static char* store(T value, char* to) {
    auto rest = static_cast<std::uint64_t>(static_cast<std::make_unsigned_t<T>>(value));
    for (std::size_t i = 0; i < sizeof(T); ++i) {
      *to++ = static_cast<char>(rest & 0xffU);
      rest >>= 8U;
    }
    return to;
  }
  char* extend(std::size_t size) {
    bytes_.resize(bytes_.size() + size);
    return &bytes_[bytes_.size() - size];
  }
  template <typename T>
  void put(T value) {
    store(value, extend(sizeof(T)));
  }

  std::string bytes_;
};

/// Reads what StateWriter wrote. Throws std::invalid_argument where the bytes end too early or hold what cannot be, and
/// never takes more memory than in proportion to them.
class StateReader {
 public:
  static constexpr bool kReads = true;

  /// Reads the bytes begin..end-1 of `bytes`, which must outlive it.
  StateReader(const std::string& bytes, std::size_t begin, std::size_t end)
      : bytes_(bytes), position_(begin), end_(end) {}
  explicit StateReader(const std::string& bytes) : StateReader(bytes, 0, bytes.size()) {}

  template <typename T>
  void field(T& value) {
    if constexpr (std::is_same_v<T, double>) {
      const auto bits = get<std::uint64_t>();
      std::memcpy(&value, &bits, sizeof value);
    } else if constexpr (std::is_same_v<T, bool>) {
      value = get_below(2) != 0;
    } else if constexpr (std::is_enum_v<T>) {
      value = static_cast<T>(get_below(names_of(T()).size()));
    } else if constexpr (std::is_integral_v<T>) {
      value = get<T>();
    } else {
      T::describe(value, *this);
    }
  }
  void field(std::string& text) {
    const std::size_t size = get_size(1);
    text.assign(take(size), size);
  }
  template <typename T>
  void field(std::vector<T>& values) {
    values.clear();
    if constexpr (std::is_integral_v<T>) {
      values.resize(get_size(sizeof(T)));
      const char* from = take(values.size() * sizeof(T));
      for (T& value : values) {
        value = load<T>(from);
        from += sizeof(T);
      }
    } else {
      // One by one: a value may take far more room here than in the bytes, and these may end before the last.
      for (std::size_t rest = get_size(1); rest > 0; --rest) {
        values.emplace_back();
        field(values.back());
      }
    }
  }
  template <typename T, std::size_t n>
  void field(std::array<T, n>& values) {
    for (T& value : values) {
      field(value);
    }
  }
  template <typename Key, typename T>
  void field(std::map<Key, T>& values) {
    values.clear();
    for (std::size_t rest = get_size(1); rest > 0; --rest) {
      Key key{};
      field(key);
      field(values[key]);
    }
  }
  template <typename T>
  void field(std::shared_ptr<T>& value) {
    bool is_there = false;
    field(is_there);
    value.reset();
    if (is_there) {
      auto made = std::make_shared<std::remove_const_t<T>>();
      field(*made);
      value = std::move(made);
    }
  }

  template <typename T>
  void part(const char* name, T& value) {
    const std::size_t outer_end = begin_part(name);
    field(value);
    end_part(name, outer_end);
  }
  template <typename T>
  void given(const char* name, const T& value) {
    StateWriter own;
    own.part(name, value);
    const std::size_t size = own.bytes().size();
    if (size > left() || bytes_.compare(position_, size, own.bytes()) != 0) {
      throw std::invalid_argument(std::string("saved state belongs to another ") + name);
    }
    position_ += size;
  }
  /// Throws std::invalid_argument("saved state holds " + what) unless the condition holds.
  void require(bool condition, const char* what) const;
  /// Throws std::invalid_argument unless everything has been read.
  void finish() const;

 private:
  std::size_t left() const { return end_ - position_; }
  const char* take(std::size_t size);
  /// A number of values that take so many bytes each, or more: no more than what is left can hold.
  std::size_t get_size(std::size_t bytes_each);
  std::size_t get_below(std::size_t n);
  std::size_t begin_part(const char* name);
  void end_part(const char* name, std::size_t outer_end);

  template <typename T>
  static T load(const char* from) {
    std::uint64_t value = 0;
    for (std::size_t i = 0; i < sizeof(T); ++i) {
      value |= std::uint64_t{static_cast<unsigned char>(from[i])} << (8U * i);
    }
    return static_cast<T>(static_cast<std::make_unsigned_t<T>>(value));
  }
  template <typename T>
  T get() {
    return load<T>(take(sizeof(T)));
  }

  const std::string& bytes_;
  std::size_t position_;
  std::size_t end_;  // of the part that is being read
};

/// FNV-1a, 64 bits: finds damage, not malice.
std::uint64_t checksum(const char* data, std::size_t size);

/// The state of `kind` that holds what was written.
std::string seal_state(const char* kind, const StateWriter& contents);
/// Reads the contents of such a state. Throws std::invalid_argument where the bytes are none, are cut short, too long
/// or damaged, are of another version or another kind. `bytes` must outlive the reader.
StateReader open_state(const char* kind, const std::string& bytes);

template <typename T>
std::string save_state(const char* kind, const T& value) {
  StateWriter out;
  out.field(value);
  return seal_state(kind, out);
}
template <typename T>
void load_state(const char* kind, const std::string& bytes, T& value) {
  StateReader in = open_state(kind, bytes);
  in.field(value);
  in.finish();
}

}  // namespace dfa
