#include "dfa/random.hpp"

namespace dfa {
namespace {

constexpr std::uint32_t kMultiplier0 = 0xD2511F53U;
constexpr std::uint32_t kMultiplier1 = 0xCD9E8D57U;
constexpr std::uint32_t kWeyl0 = 0x9E3779B9U;
constexpr std::uint32_t kWeyl1 = 0xBB67AE85U;
constexpr int kRounds = 10;

// All rounds of `Lanes` independent blocks side by side, so that the compiler can keep them in vector registers.
template <std::size_t Lanes>
void philox_lanes(const std::array<std::uint32_t, 4>& first, std::uint32_t key0, std::uint32_t key1,
                  std::uint32_t* words) {
  std::uint32_t c0[Lanes];
  std::uint32_t c1[Lanes];
  std::uint32_t c2[Lanes];
  std::uint32_t c3[Lanes];
  for (std::size_t i = 0; i < Lanes; ++i) {
    c0[i] = first[0] + static_cast<std::uint32_t>(i);
    c1[i] = first[1];
    c2[i] = first[2];
    c3[i] = first[3];
  }
  for (int round = 0; round < kRounds; ++round) {
    for (std::size_t i = 0; i < Lanes; ++i) {
      const std::uint64_t p0 = std::uint64_t{kMultiplier0} * c0[i];
      const std::uint64_t p1 = std::uint64_t{kMultiplier1} * c2[i];
      const std::uint32_t next0 = static_cast<std::uint32_t>(p1 >> 32U) ^ c1[i] ^ key0;
      const std::uint32_t next2 = static_cast<std::uint32_t>(p0 >> 32U) ^ c3[i] ^ key1;
      c1[i] = static_cast<std::uint32_t>(p1);
      c3[i] = static_cast<std::uint32_t>(p0);
      c0[i] = next0;
      c2[i] = next2;
    }
    key0 += kWeyl0;
    key1 += kWeyl1;
  }
  for (std::size_t i = 0; i < Lanes; ++i) {
    words[4 * i] = c0[i];
    words[4 * i + 1] = c1[i];
    words[4 * i + 2] = c2[i];
    words[4 * i + 3] = c3[i];
  }
}

}  // namespace

std::array<std::uint32_t, 4> philox(const std::array<std::uint32_t, 4>& counter,
                                    const std::array<std::uint32_t, 2>& key) {
  std::array<std::uint32_t, 4> words;
  philox_lanes<1>(counter, key[0], key[1], words.data());
  return words;
}

void Stream::refill() {
  const std::array<std::uint32_t, 4> counter{block_, id_.candidate, id_.iteration, id_.image};
  const auto key0 = static_cast<std::uint32_t>(id_.seed);
  const auto key1 = static_cast<std::uint32_t>(id_.seed >> 32U);
  switch (refill_blocks_) {
    case 1:
      philox_lanes<1>(counter, key0, key1, words_.data());
      break;
    case 4:
      philox_lanes<4>(counter, key0, key1, words_.data());
      break;
    default:
      philox_lanes<kMaxBlocks>(counter, key0, key1, words_.data());
      break;
  }
  block_ += refill_blocks_;
  filled_ = 4 * std::size_t{refill_blocks_};
  position_ = 0;
  refill_blocks_ = refill_blocks_ == 1 ? 4 : static_cast<std::uint32_t>(kMaxBlocks);
}

}  // namespace dfa
