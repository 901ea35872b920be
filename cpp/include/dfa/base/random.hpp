#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

namespace dfa {

/// One Philox4x32-10 block (Salmon et al., SC 2011): four words from a counter and a key.
std::array<std::uint32_t, 4> philox(const std::array<std::uint32_t, 4>& counter,
                                    const std::array<std::uint32_t, 2>& key);

/// Names the random stream of one candidate. Nothing else enters a draw, so an image's trajectory does not depend on
/// threads, on the batch or on the other images in it.
struct StreamId {
  std::uint64_t seed = 0;
  std::uint32_t image = 0;
  std::uint32_t iteration = 0;
  std::uint32_t candidate = 0;
};

/// Sequence of uniform words: key = seed, counter = (block, candidate, iteration, image).
class Stream {
 public:
  explicit Stream(const StreamId& id) : id_(id) {}

  std::uint32_t next() {
    if (position_ == filled_) {
      refill();
    }
    return words_[position_++];
  }

  /// Unbiased integer in 0..n-1, n >= 1 (Lemire 2019, with rejection). Written here because the distributions of the
  /// standard library differ between implementations.
  std::uint32_t below(std::uint32_t n) {
    std::uint64_t product = std::uint64_t{next()} * n;
    auto low = static_cast<std::uint32_t>(product);
    if (low < n) {
      const std::uint32_t threshold = (0U - n) % n;
      while (low < threshold) {
        product = std::uint64_t{next()} * n;
        low = static_cast<std::uint32_t>(product);
      }
    }
    return static_cast<std::uint32_t>(product >> 32U);
  }

  /// Unbiased integer in low..high, both included.
  std::int32_t between(std::int32_t low, std::int32_t high) {
    return low + static_cast<std::int32_t>(below(static_cast<std::uint32_t>(high - low) + 1U));
  }

  static constexpr std::size_t kMaxBlocks = 16;

 private:
  void refill();

  StreamId id_;
  std::uint32_t block_ = 0;
  // A candidate with |Y| = 2 needs a few words, the start of a large image needs millions: refills double up to
  // kMaxBlocks so that neither pays for the other.
  std::uint32_t refill_blocks_ = 1;
  std::size_t position_ = 0;
  std::size_t filled_ = 0;
  std::array<std::uint32_t, 4 * kMaxBlocks> words_;
};

}  // namespace dfa
