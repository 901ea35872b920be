#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <utility>
#include <vector>

#include "dfa/base/image.hpp"
#include "dfa/space/box.hpp"
#include "dfa/space/domain.hpp"

namespace dfa {

/// A radius for every coordinate; 0 keeps the coordinate as it is. Shared by all images that use the same radii.
struct RadiusMap {
  std::vector<std::uint8_t> radii;
  std::vector<std::uint32_t> free;  ///< ascending coordinates whose radius is not 0

  RadiusMap() = default;
  explicit RadiusMap(std::vector<std::uint8_t> radii_per_coordinate);

  template <typename Self, typename State>
  static void describe(Self& self, State& state) {
    state.field(self.radii);
    if constexpr (State::kReads) {
      self = RadiusMap(std::move(self.radii));
    }
  }
};

struct Bounds {
  std::int32_t low;
  std::int32_t high;
};

/// The integer box that a search on one uint8 image draws its vectors from, and what a vector means: the image's
/// perturbation, coordinate by coordinate, within an L-infinity ball; or what the renderer of a Box makes of it.
class Space {
 public:
  Space() = default;  ///< one to be read from a state
  /// The ball of the same radius (1..255 grey levels) everywhere.
  Space(std::vector<std::uint8_t> original, std::uint8_t radius, Domain domain);
  /// The ball of one radius per coordinate; at least one must not be 0.
  Space(std::vector<std::uint8_t> original, std::shared_ptr<const RadiusMap> radii, Domain domain);
  Space(std::vector<std::uint8_t> original, std::shared_ptr<const Box> box);

  /// Number of coordinates of a vector.
  std::size_t size() const { return size_; }
  const std::vector<std::uint8_t>& original() const { return original_; }
  std::uint8_t radius() const { return radius_; }
  const RadiusMap* radii() const { return radii_.get(); }
  /// What renders a vector; null for a ball.
  const Box* box() const { return box_.get(); }
  Domain domain() const { return domain_; }

  /// Number of coordinates that may change.
  std::uint32_t free_count() const { return free_count_; }
  /// The i-th of them, ascending.
  std::uint32_t free_coordinate(std::uint32_t i) const { return free_ != nullptr ? (*free_)[i] : i; }
  /// All of them where they are listed, else null: every coordinate may change.
  const std::vector<std::uint32_t>* free() const { return free_; }

  Bounds bounds(std::uint32_t p) const {
    if (box_) {
      return {box_->low()[p], box_->high()[p]};
    }
    const std::int32_t e = radii_ ? radii_->radii[p] : radius_;
    if (domain_ == Domain::kValid) {
      const std::int32_t d = original_[p];
      return {std::max(-e, -d), std::min(e, 255 - d)};
    }
    return {-e, e};
  }

  /// Pixel value of a ball at coordinate p under perturbation v: norm(d + v) of the paper, section 4.2. A box has none.
  std::uint8_t pixel(std::uint32_t p, std::int32_t v) const {
    return box_ ? std::uint8_t{0} : static_cast<std::uint8_t>(std::clamp(std::int32_t{original_[p]} + v, 0, 255));
  }

  /// Largest magnitude of a value, which decides how wide stored values are.
  std::int32_t largest() const;

  template <typename Self, typename State>
  static void describe(Self& self, State& state) {
    state.field(self.original_);
    state.field(self.radius_);
    state.field(self.radii_);
    state.field(self.box_);
    state.field(self.domain_);
  }
  /// Makes a space of images of this shape of what has been read. Throws std::invalid_argument where that is none.
  void restore(const ImageShape& shape);

 private:
  std::vector<std::uint8_t> original_;
  std::uint8_t radius_ = 0;
  std::shared_ptr<const RadiusMap> radii_;
  std::shared_ptr<const Box> box_;
  Domain domain_ = Domain::kBall;
  std::size_t size_ = 0;
  const std::vector<std::uint32_t>* free_ = nullptr;  // of radii_ or box_
  std::uint32_t free_count_ = 0;
};

}  // namespace dfa
