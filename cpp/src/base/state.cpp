#include "dfa/base/state.hpp"

namespace dfa {
namespace {

constexpr std::uint32_t kMagic = 0x53414644U;  // "DFAS", little-endian
constexpr std::size_t kChecksumSize = sizeof(std::uint64_t);

struct Head {
  std::uint32_t magic = kMagic;
  std::uint32_t version = kStateVersion;
  std::uint64_t length = 0;  // of everything

  static constexpr std::size_t kSize = 16;

  template <typename Self, typename State>
  static void describe(Self& self, State& state) {
    state.field(self.magic);
    state.field(self.version);
    state.field(self.length);
  }
};

[[noreturn]] void refuse(const std::string& message) { throw std::invalid_argument(message); }

[[noreturn]] void refuse_truncated() { refuse("saved state ends too early: it is truncated"); }

[[noreturn]] void refuse_version(std::uint32_t version) {
  refuse("saved state has version " + std::to_string(version) + ", this build reads version " +
         std::to_string(kStateVersion) + ": go on with the build that wrote it, or begin anew");
}

// The first version whose states all begin alike.
constexpr std::uint32_t kFirstOfThisHead = 3;

// Before it every kind of state had magic numbers of its own, "DFA" and a byte of letters and flags.
bool is_of_old_build(const Head& head) {
  return (head.magic & 0xffffffU) == (kMagic & 0xffffffU) && head.version < kFirstOfThisHead;
}

void check_head(const std::string& bytes) {
  if (bytes.size() < 2 * sizeof(std::uint32_t)) {
    refuse_truncated();
  }
  Head head;
  StateReader in(bytes);
  in.field(head.magic);
  in.field(head.version);
  if (is_of_old_build(head)) {
    refuse_version(head.version);
  }
  if (head.magic != kMagic) {
    refuse("not a saved state of dfa, or one that was written before version " + std::to_string(kFirstOfThisHead) +
           "; this build reads version " + std::to_string(kStateVersion) +
           ": go on with the build that wrote it, or begin anew");
  }
  if (head.version != kStateVersion) {
    refuse_version(head.version);
  }
  if (bytes.size() < Head::kSize + kChecksumSize) {
    refuse_truncated();
  }
  in.field(head.length);
  if (head.length > bytes.size()) {
    refuse_truncated();
  }
  if (head.length < bytes.size()) {
    refuse("saved state is longer than its contents");
  }
}

}  // namespace

void StateReader::require(bool condition, const char* what) const {
  if (!condition) {
    refuse(std::string("saved state holds ") + what);
  }
}

void StateReader::finish() const {
  if (position_ != end_) {
    refuse("saved state is longer than its contents");
  }
}

const char* StateReader::take(std::size_t size) {
  if (size > left()) {
    refuse_truncated();
  }
  const char* data = bytes_.data() + position_;
  position_ += size;
  return data;
}

std::size_t StateReader::get_size(std::size_t bytes_each) {
  const auto size = get<std::uint64_t>();
  if (size > left() / bytes_each) {
    refuse_truncated();
  }
  return static_cast<std::size_t>(size);
}

std::size_t StateReader::get_below(std::size_t n) {
  const auto value = get<std::uint8_t>();
  require(value < n, "a choice that there is not");
  return value;
}

std::size_t StateReader::begin_part(const char* name) {
  std::string found;
  field(found);
  if (found != name) {
    refuse(std::string("saved state lacks its part ") + name);
  }
  const std::size_t size = get_size(1);
  return std::exchange(end_, position_ + size);
}

void StateReader::end_part(const char* name, std::size_t outer_end) {
  if (position_ != end_) {
    refuse(std::string("saved state is longer than its contents, in its part ") + name);
  }
  end_ = outer_end;
}

std::uint64_t checksum(const char* data, std::size_t size) {
  std::uint64_t hash = 14695981039346656037ULL;
  for (std::size_t i = 0; i < size; ++i) {
    hash = (hash ^ static_cast<unsigned char>(data[i])) * 1099511628211ULL;
  }
  return hash;
}

std::string seal_state(const char* kind, const StateWriter& contents) {
  StateWriter name;
  name.field(std::string(kind));
  Head head;
  head.length = Head::kSize + name.bytes().size() + contents.bytes().size() + kChecksumSize;
  StateWriter front;
  front.field(head);
  std::string bytes;
  bytes.reserve(static_cast<std::size_t>(head.length));
  bytes += front.bytes();
  bytes += name.bytes();
  bytes += contents.bytes();
  StateWriter tail;
  tail.field(checksum(bytes.data(), bytes.size()));
  bytes += tail.bytes();
  return bytes;
}

StateReader open_state(const char* kind, const std::string& bytes) {
  check_head(bytes);
  const std::size_t end = bytes.size() - kChecksumSize;
  std::uint64_t expected = 0;
  StateReader(bytes, end, bytes.size()).field(expected);
  if (expected != checksum(bytes.data(), end)) {
    refuse("saved state is damaged: its checksum does not match");
  }
  StateReader in(bytes, Head::kSize, end);
  std::string found;
  in.field(found);
  if (found != kind) {
    refuse(std::string("not a saved state of ") + kind + ", but of " + found);
  }
  return in;
}

}  // namespace dfa
