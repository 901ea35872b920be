#include "dfa/base/random.hpp"

#include "dfa/base/platform.hpp"

#ifdef DFA_HAS_X86_VARIANTS
#include <immintrin.h>
#endif

namespace dfa {
namespace {

constexpr std::uint32_t kMultiplier0 = 0xD2511F53U;
constexpr std::uint32_t kMultiplier1 = 0xCD9E8D57U;
constexpr std::uint32_t kWeyl0 = 0x9E3779B9U;
constexpr std::uint32_t kWeyl1 = 0xBB67AE85U;
constexpr int kRounds = 10;

void philox_one(const std::array<std::uint32_t, 4>& counter, std::uint32_t key0, std::uint32_t key1,
                std::uint32_t* words) {
  std::uint32_t c0 = counter[0];
  std::uint32_t c1 = counter[1];
  std::uint32_t c2 = counter[2];
  std::uint32_t c3 = counter[3];
  for (int round = 0; round < kRounds; ++round) {
    const std::uint64_t p0 = std::uint64_t{kMultiplier0} * c0;
    const std::uint64_t p1 = std::uint64_t{kMultiplier1} * c2;
    c0 = static_cast<std::uint32_t>(p1 >> 32U) ^ c1 ^ key0;
    c2 = static_cast<std::uint32_t>(p0 >> 32U) ^ c3 ^ key1;
    c1 = static_cast<std::uint32_t>(p1);
    c3 = static_cast<std::uint32_t>(p0);
    key0 += kWeyl0;
    key1 += kWeyl1;
  }
  words[0] = c0;
  words[1] = c1;
  words[2] = c2;
  words[3] = c3;
}

#ifdef DFA_HAS_X86_VARIANTS

// Four consecutive blocks, one in each 64-bit lane. The multiplication reads the low half of a lane only, so what
// accumulates in the high halves does no harm.
__attribute__((target("avx2"))) void philox_four(const std::array<std::uint32_t, 4>& first, std::uint32_t key0,
                                                 std::uint32_t key1, std::uint32_t* words) {
  const __m256i multiplier0 = _mm256_set1_epi64x(kMultiplier0);
  const __m256i multiplier1 = _mm256_set1_epi64x(kMultiplier1);
  __m256i c0 = _mm256_set_epi64x(first[0] + 3U, first[0] + 2U, first[0] + 1U, first[0]);
  __m256i c1 = _mm256_set1_epi64x(first[1]);
  __m256i c2 = _mm256_set1_epi64x(first[2]);
  __m256i c3 = _mm256_set1_epi64x(first[3]);
  for (int round = 0; round < kRounds; ++round) {
    const __m256i p0 = _mm256_mul_epu32(c0, multiplier0);
    const __m256i p1 = _mm256_mul_epu32(c2, multiplier1);
    const __m256i keyed1 = _mm256_xor_si256(c1, _mm256_set1_epi64x(key0));
    const __m256i keyed3 = _mm256_xor_si256(c3, _mm256_set1_epi64x(key1));
    c0 = _mm256_xor_si256(_mm256_srli_epi64(p1, 32), keyed1);
    c2 = _mm256_xor_si256(_mm256_srli_epi64(p0, 32), keyed3);
    c1 = p1;
    c3 = p0;
    key0 += kWeyl0;
    key1 += kWeyl1;
  }
  const __m256i low = _mm256_set1_epi64x(0xFFFFFFFF);
  const __m256i words01 = _mm256_or_si256(_mm256_and_si256(c0, low), _mm256_slli_epi64(c1, 32));
  const __m256i words23 = _mm256_or_si256(_mm256_and_si256(c2, low), _mm256_slli_epi64(c3, 32));
  const __m256i blocks02 = _mm256_unpacklo_epi64(words01, words23);
  const __m256i blocks13 = _mm256_unpackhi_epi64(words01, words23);
  auto* out = reinterpret_cast<__m256i*>(words);
  _mm256_storeu_si256(out, _mm256_permute2x128_si256(blocks02, blocks13, 0x20));
  _mm256_storeu_si256(out + 1, _mm256_permute2x128_si256(blocks02, blocks13, 0x31));
}

__attribute__((target("avx2"))) void philox_avx2(std::array<std::uint32_t, 4> counter, std::uint32_t key0,
                                                 std::uint32_t key1, std::uint32_t num_blocks, std::uint32_t* words) {
  for (std::uint32_t done = 0; done < num_blocks; done += 4) {
    philox_four(counter, key0, key1, words + 4 * std::size_t{done});
    counter[0] += 4;
  }
}

#endif

// The words are the same on every processor; only the speed differs.
void philox_many(std::array<std::uint32_t, 4> counter, std::uint32_t key0, std::uint32_t key1, std::uint32_t num_blocks,
                 std::uint32_t* words) {
#ifdef DFA_HAS_X86_VARIANTS
  if (num_blocks % 4 == 0 && __builtin_cpu_supports("avx2") != 0) {
    philox_avx2(counter, key0, key1, num_blocks, words);
    return;
  }
#endif
  for (std::uint32_t block = 0; block < num_blocks; ++block) {
    philox_one(counter, key0, key1, words + 4 * std::size_t{block});
    ++counter[0];
  }
}

}  // namespace

std::array<std::uint32_t, 4> philox(const std::array<std::uint32_t, 4>& counter,
                                    const std::array<std::uint32_t, 2>& key) {
  std::array<std::uint32_t, 4> words;
  philox_one(counter, key[0], key[1], words.data());
  return words;
}

void Stream::refill() {
  philox_many({block_, id_.candidate, id_.iteration, id_.image}, static_cast<std::uint32_t>(id_.seed),
              static_cast<std::uint32_t>(id_.seed >> 32U), refill_blocks_, words_.data());
  block_ += refill_blocks_;
  filled_ = 4 * std::size_t{refill_blocks_};
  position_ = 0;
  refill_blocks_ = refill_blocks_ == 1 ? 4 : static_cast<std::uint32_t>(kMaxBlocks);
}

}  // namespace dfa
