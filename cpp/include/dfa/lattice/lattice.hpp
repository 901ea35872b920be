#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <vector>

namespace dfa {

/// The images that round each coordinate of a vector down or up, within epsilon of its original.
class LatticeBox {
 public:
  /// `levels` are the vector in grey levels, 0..255; those within `slack` of a whole number are whole.
  LatticeBox(const double* levels, const std::uint8_t* original, std::size_t size, std::int32_t epsilon, double slack);

  std::size_t size() const { return low_.size(); }
  std::size_t num_free() const { return free_.size(); }
  /// Place of the i-th coordinate that has a choice.
  std::uint32_t place(std::size_t i) const { return free_[i]; }
  /// How far the i-th of them lies above its lower integer, in (0, 1).
  double fraction(std::size_t i) const { return fractions_[i]; }

  /// Writes the image whose free coordinates are up where `is_high(i)`.
  template <typename IsHigh>
  void write(std::uint8_t* image, IsHigh&& is_high) const;
  /// The other integer of the i-th free coordinate.
  std::uint8_t other(std::size_t i, std::uint8_t value) const {
    return static_cast<std::uint8_t>(2 * low_[free_[i]] + 1 - value);
  }
  /// Half to even, as rint.
  bool nearest_is_high(std::size_t i) const {
    return fractions_[i] > 0.5 || (fractions_[i] == 0.5 && (low_[free_[i]] & 1U) != 0);
  }
  bool outward_is_high(std::size_t i) const { return is_outward_high_[i] != 0; }

 private:
  std::vector<std::uint8_t> low_;
  std::vector<std::uint32_t> free_;
  std::vector<double> fractions_;
  std::vector<std::uint8_t> is_outward_high_;
};

/// Where a candidate of a lattice search comes from.
enum class LatticeStage : std::uint8_t {
  kNearest,      ///< the start: every coordinate to its nearest integer
  kOutward,      ///< every coordinate away from the original
  kStochastic,   ///< each up with the probability of its fraction
  kBlocks,       ///< blocks flipped, kept if the degree falls; they halve down to single coordinates
  kCoordinates,  ///< one coordinate flipped at a time, those that rounding moved farthest first
};

struct LatticePlan {
  std::vector<LatticeStage> stages;  ///< after the start, in this order
  std::uint32_t num_stochastic = 0;
};

/// Searches one box by degrees alone; one candidate at a time is under way, from propose() to tell().
class LatticeSearch {
 public:
  /// `plan` must outlive the search.
  LatticeSearch(LatticeBox box, const LatticePlan& plan, std::uint64_t seed, std::uint32_t image_id);

  const LatticeBox& box() const { return box_; }
  bool is_waiting() const { return is_waiting_; }
  /// Writes the next candidate and returns its stage, or nothing where none is left. Skips those that are the best.
  std::optional<LatticeStage> propose(std::uint8_t* image);
  void tell(double degree);

 private:
  bool propose_in(LatticeStage stage, std::uint8_t* image);
  bool propose_flip(LatticeStage stage, std::uint8_t* image);
  void write_whole(LatticeStage stage, std::uint8_t* image) const;
  void begin_pass(LatticeStage stage);
  void flip(std::uint8_t* image) const;

  LatticeBox box_;
  const LatticePlan* plan_;
  std::uint64_t seed_;
  std::uint32_t image_id_;
  std::vector<std::uint8_t> best_;  ///< empty before the start was told
  double least_ = 0;
  bool is_waiting_ = false;
  std::size_t stage_ = 0;    ///< in the plan
  std::uint32_t drawn_ = 0;  ///< candidates or passes begun in this stage
  // Of stages that flip: free coordinates in the order of this pass, and the block under way.
  std::vector<std::uint32_t> order_;
  std::size_t block_size_ = 0;
  std::size_t block_start_ = 0;
  bool has_improved_ = false;
};

/// Searches around many vectors of one size, side by side. A freed slot is used again.
class LatticeBatch {
 public:
  LatticeBatch(std::size_t size, LatticePlan plan, std::uint64_t seed, int threads, double slack);

  std::size_t size() const { return size_; }
  std::size_t num_searches() const { return searches_.size() - free_slots_.size(); }

  /// Adds one search per row of `levels` and `originals` (ids.size() times size() values); returns their slots.
  std::vector<std::size_t> add(const double* levels, const std::uint8_t* originals,
                               const std::vector<std::int32_t>& epsilons, const std::vector<std::uint32_t>& ids);
  void remove(std::size_t slot);
  const LatticeSearch& search(std::size_t slot) const;

  /// Writes the next candidate of the search in slots[i] into row i of `images`, where it has one.
  std::vector<std::optional<LatticeStage>> propose(const std::vector<std::size_t>& slots, std::uint8_t* images);
  /// Records one degree per slot. Nothing changes if one is refused.
  void tell(const std::vector<std::size_t>& slots, const double* degrees);

 private:
  void check_slots(const std::vector<std::size_t>& slots, bool are_waiting) const;

  std::size_t size_;
  std::unique_ptr<const LatticePlan> plan_;
  std::uint64_t seed_;
  int threads_;
  double slack_;
  std::vector<std::unique_ptr<LatticeSearch>> searches_;
  std::vector<std::size_t> free_slots_;
};

template <typename IsHigh>
void LatticeBox::write(std::uint8_t* image, IsHigh&& is_high) const {
  for (std::size_t j = 0; j < low_.size(); ++j) {
    image[j] = low_[j];
  }
  for (std::size_t i = 0; i < free_.size(); ++i) {
    image[free_[i]] = static_cast<std::uint8_t>(low_[free_[i]] + (is_high(i) ? 1 : 0));
  }
}

}  // namespace dfa
