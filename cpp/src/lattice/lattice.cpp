#include "dfa/lattice/lattice.hpp"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <stdexcept>
#include <string>
#include <utility>

#include "dfa/base/parallel.hpp"
#include "dfa/base/random.hpp"

namespace dfa {
namespace {

constexpr std::size_t kFirstBlocks = 4;
constexpr double kWords = 4294967296.0;  // 2^32

}  // namespace

LatticeBox::LatticeBox(const double* levels, const std::uint8_t* original, std::size_t size, std::int32_t epsilon,
                       double slack)
    : low_(size) {
  if (epsilon < 0 || epsilon > 255) {
    throw std::invalid_argument("epsilons must be in 0..255 grey levels, got " + std::to_string(epsilon));
  }
  for (std::size_t j = 0; j < size; ++j) {
    double level = levels[j];
    if (!(level >= 0.0 && level <= 255.0)) {
      throw std::invalid_argument("levels must be in 0..255, got " + std::to_string(level));
    }
    const double nearest = std::nearbyint(level);
    if (std::abs(level - nearest) <= slack) {
      level = nearest;
    }
    const std::int32_t centre = original[j];
    level = std::clamp(level, static_cast<double>(centre - epsilon), static_cast<double>(centre + epsilon));
    const double low = std::floor(level);
    low_[j] = static_cast<std::uint8_t>(low);
    if (low != level) {
      free_.push_back(static_cast<std::uint32_t>(j));
      fractions_.push_back(level - low);
      is_outward_high_.push_back(level >= centre ? 1 : 0);
    }
  }
}

LatticeSearch::LatticeSearch(LatticeBox box, const LatticePlan& plan, std::uint64_t seed, std::uint32_t image_id)
    : box_(std::move(box)), plan_(&plan), seed_(seed), image_id_(image_id) {}

std::optional<LatticeStage> LatticeSearch::propose(std::uint8_t* image) {
  if (best_.empty()) {
    write_whole(LatticeStage::kNearest, image);
    is_waiting_ = true;
    return LatticeStage::kNearest;
  }
  for (; stage_ < plan_->stages.size(); ++stage_, drawn_ = 0) {
    const LatticeStage stage = plan_->stages[stage_];
    if (propose_in(stage, image)) {
      is_waiting_ = true;
      return stage;
    }
  }
  return std::nullopt;
}

bool LatticeSearch::propose_in(LatticeStage stage, std::uint8_t* image) {
  if (stage == LatticeStage::kBlocks || stage == LatticeStage::kCoordinates) {
    return propose_flip(stage, image);
  }
  const std::uint32_t number = stage == LatticeStage::kStochastic ? plan_->num_stochastic : 1;
  while (drawn_ < number) {
    ++drawn_;
    write_whole(stage, image);
    if (!std::equal(best_.begin(), best_.end(), image)) {
      return true;
    }
  }
  return false;
}

bool LatticeSearch::propose_flip(LatticeStage stage, std::uint8_t* image) {
  const std::size_t num_free = box_.num_free();
  if (num_free == 0) {
    return false;
  }
  if (drawn_ == 0 || block_start_ >= num_free) {
    if (drawn_ > 0 && block_size_ == 1 && !has_improved_) {
      return false;
    }
    begin_pass(stage);
  }
  std::copy(best_.begin(), best_.end(), image);
  flip(image);
  return true;
}

void LatticeSearch::begin_pass(LatticeStage stage) {
  const std::size_t num_free = box_.num_free();
  if (drawn_ > 0) {
    block_size_ = std::max<std::size_t>(1, block_size_ / 2);
  } else if (stage == LatticeStage::kCoordinates) {
    block_size_ = 1;
  } else {
    block_size_ = std::max<std::size_t>(1, num_free / kFirstBlocks);
  }
  block_start_ = 0;
  has_improved_ = false;
  order_.resize(num_free);
  std::iota(order_.begin(), order_.end(), 0U);
  if (stage == LatticeStage::kCoordinates) {
    const auto moved = [this](std::uint32_t i) { return std::min(box_.fraction(i), 1.0 - box_.fraction(i)); };
    std::stable_sort(order_.begin(), order_.end(),
                     [&](std::uint32_t a, std::uint32_t b) { return moved(a) > moved(b); });
  } else {
    Stream stream({seed_, image_id_, static_cast<std::uint32_t>(stage), drawn_});
    for (auto last = static_cast<std::uint32_t>(num_free); last > 1; --last) {
      std::swap(order_[last - 1], order_[stream.below(last)]);
    }
  }
  ++drawn_;
}

void LatticeSearch::write_whole(LatticeStage stage, std::uint8_t* image) const {
  if (stage == LatticeStage::kNearest) {
    box_.write(image, [this](std::size_t i) { return box_.nearest_is_high(i); });
  } else if (stage == LatticeStage::kOutward) {
    box_.write(image, [this](std::size_t i) { return box_.outward_is_high(i); });
  } else {
    Stream stream({seed_, image_id_, static_cast<std::uint32_t>(stage), drawn_ - 1});
    box_.write(image, [&](std::size_t i) { return stream.next() < box_.fraction(i) * kWords; });
  }
}

void LatticeSearch::flip(std::uint8_t* image) const {
  const std::size_t end = std::min(block_start_ + block_size_, order_.size());
  for (std::size_t at = block_start_; at < end; ++at) {
    std::uint8_t& value = image[box_.place(order_[at])];
    value = box_.other(order_[at], value);
  }
}

void LatticeSearch::tell(double degree) {
  is_waiting_ = false;
  if (best_.empty()) {
    best_.resize(box_.size());
    write_whole(LatticeStage::kNearest, best_.data());
    least_ = degree;
    return;
  }
  const LatticeStage stage = plan_->stages[stage_];
  const bool is_flip = stage == LatticeStage::kBlocks || stage == LatticeStage::kCoordinates;
  if (degree < least_) {
    least_ = degree;
    has_improved_ = true;
    if (is_flip) {
      flip(best_.data());
    } else {
      write_whole(stage, best_.data());
    }
  }
  if (is_flip) {
    block_start_ += block_size_;
  }
}

LatticeBatch::LatticeBatch(std::size_t size, LatticePlan plan, std::uint64_t seed, int threads, double slack)
    : size_(size),
      plan_(std::make_unique<const LatticePlan>(std::move(plan))),
      seed_(seed),
      threads_(threads),
      slack_(slack) {
  if (size_ == 0 || size_ > UINT32_MAX) {
    throw std::invalid_argument("an image needs 1.." + std::to_string(UINT32_MAX) + " values, got " +
                                std::to_string(size_));
  }
  if (threads_ < 1) {
    throw std::invalid_argument("threads must be at least 1, got " + std::to_string(threads_));
  }
  if (!(slack_ >= 0.0)) {
    throw std::invalid_argument("slack must be at least 0, got " + std::to_string(slack_));
  }
  if (std::count(plan_->stages.begin(), plan_->stages.end(), LatticeStage::kNearest) != 0) {
    throw std::invalid_argument("the nearest image is where every search starts, and no stage of a plan");
  }
}

std::vector<std::size_t> LatticeBatch::add(const double* levels, const std::uint8_t* originals,
                                           const std::vector<std::int32_t>& epsilons,
                                           const std::vector<std::uint32_t>& ids) {
  const std::size_t n = ids.size();
  std::vector<std::unique_ptr<LatticeSearch>> made(n);
  parallel_for(n, threads_, 9 * n * size_, [&](std::size_t i, std::size_t) {
    LatticeBox box(levels + i * size_, originals + i * size_, size_, epsilons[i], slack_);
    made[i] = std::make_unique<LatticeSearch>(std::move(box), *plan_, seed_, ids[i]);
  });
  std::vector<std::size_t> slots;
  for (auto& search : made) {
    if (free_slots_.empty()) {
      slots.push_back(searches_.size());
      searches_.push_back(std::move(search));
    } else {
      slots.push_back(free_slots_.back());
      searches_[free_slots_.back()] = std::move(search);
      free_slots_.pop_back();
    }
  }
  return slots;
}

void LatticeBatch::remove(std::size_t slot) {
  search(slot);
  searches_[slot].reset();
  free_slots_.push_back(slot);
}

const LatticeSearch& LatticeBatch::search(std::size_t slot) const {
  if (slot >= searches_.size() || !searches_[slot]) {
    throw std::invalid_argument("slot " + std::to_string(slot) + " holds no search");
  }
  return *searches_[slot];
}

void LatticeBatch::check_slots(const std::vector<std::size_t>& slots, bool are_waiting) const {
  std::vector<std::uint8_t> is_taken(searches_.size(), 0);
  for (const std::size_t slot : slots) {
    if (search(slot).is_waiting() != are_waiting) {
      throw std::invalid_argument("slot " + std::to_string(slot) +
                                  (are_waiting ? " has no candidate under way" : " has a candidate under way"));
    }
    // Two threads must not work on one search.
    if (is_taken[slot] != 0) {
      throw std::invalid_argument("slot " + std::to_string(slot) + " stands in more than one row");
    }
    is_taken[slot] = 1;
  }
}

std::vector<std::optional<LatticeStage>> LatticeBatch::propose(const std::vector<std::size_t>& slots,
                                                               std::uint8_t* images) {
  check_slots(slots, false);
  std::vector<std::optional<LatticeStage>> stages(slots.size());
  parallel_for(slots.size(), threads_, 2 * slots.size() * size_,
               [&](std::size_t i, std::size_t) { stages[i] = searches_[slots[i]]->propose(images + i * size_); });
  return stages;
}

void LatticeBatch::tell(const std::vector<std::size_t>& slots, const double* degrees) {
  check_slots(slots, true);
  for (std::size_t i = 0; i < slots.size(); ++i) {
    if (std::isnan(degrees[i])) {
      throw std::invalid_argument("row " + std::to_string(i) + " has a degree that is no number");
    }
  }
  parallel_for(slots.size(), threads_, 2 * slots.size() * size_,
               [&](std::size_t i, std::size_t) { searches_[slots[i]]->tell(degrees[i]); });
}

}  // namespace dfa
