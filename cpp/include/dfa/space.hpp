#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

#include "dfa/config.hpp"

namespace dfa {

/// Height, width and channels of an image stored as uint8 in (row, column, channel) order.
struct ImageShape {
  std::uint32_t height = 0;
  std::uint32_t width = 0;
  std::uint32_t channels = 0;

  std::size_t size() const { return std::size_t{height} * width * channels; }
  bool operator==(const ImageShape& other) const {
    return height == other.height && width == other.width && channels == other.channels;
  }
};

/// A radius for every coordinate; 0 keeps the coordinate as it is. Shared by all images that use the same radii.
struct RadiusMap {
  std::vector<std::uint8_t> radii;
  std::vector<std::uint32_t> free;  ///< ascending coordinates whose radius is not 0

  explicit RadiusMap(std::vector<std::uint8_t> radii_per_coordinate);
};

struct Bounds {
  std::int32_t low;
  std::int32_t high;
};

/// The L-infinity ball around one uint8 image: an integer box of perturbations and their rendering.
class Ball {
 public:
  /// The same radius (1..255 grey levels) everywhere.
  Ball(std::vector<std::uint8_t> original, std::uint8_t radius, Domain domain);
  /// One radius per coordinate; at least one must not be 0.
  Ball(std::vector<std::uint8_t> original, std::shared_ptr<const RadiusMap> radii, Domain domain);

  std::size_t size() const { return original_.size(); }
  const std::vector<std::uint8_t>& original() const { return original_; }
  std::uint8_t radius() const { return radius_; }
  const RadiusMap* radii() const { return radii_.get(); }
  Domain domain() const { return domain_; }

  /// Number of coordinates that may change.
  std::uint32_t free_count() const { return free_count_; }
  /// The i-th of them, ascending.
  std::uint32_t free_coordinate(std::uint32_t i) const { return radii_ ? radii_->free[i] : i; }

  Bounds bounds(std::uint32_t p) const {
    const std::int32_t e = radii_ ? radii_->radii[p] : radius_;
    if (domain_ == Domain::kValid) {
      const std::int32_t d = original_[p];
      return {std::max(-e, -d), std::min(e, 255 - d)};
    }
    return {-e, e};
  }

  /// Pixel value at coordinate p under perturbation v: norm(d + v) of the paper, section 4.2.
  std::uint8_t pixel(std::uint32_t p, std::int32_t v) const {
    return static_cast<std::uint8_t>(std::clamp(std::int32_t{original_[p]} + v, 0, 255));
  }

  /// Largest absolute perturbation, which decides how wide stored values are.
  std::int32_t largest() const;

 private:
  std::vector<std::uint8_t> original_;
  std::uint8_t radius_ = 0;
  std::shared_ptr<const RadiusMap> radii_;
  Domain domain_;
  std::uint32_t free_count_ = 0;
};

}  // namespace dfa
