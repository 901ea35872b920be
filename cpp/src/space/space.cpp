#include "dfa/space/space.hpp"

#include <limits>
#include <stdexcept>
#include <utility>

namespace dfa {

RadiusMap::RadiusMap(std::vector<std::uint8_t> radii_per_coordinate) : radii(std::move(radii_per_coordinate)) {
  for (std::size_t p = 0; p < radii.size(); ++p) {
    if (radii[p] != 0) {
      free.push_back(static_cast<std::uint32_t>(p));
    }
  }
}

Space::Space(std::vector<std::uint8_t> original, std::uint8_t radius, Domain domain)
    : original_(std::move(original)), radius_(radius), domain_(domain), size_(original_.size()) {
  if (radius_ == 0) {
    throw std::invalid_argument("radius must be in 1..255 grey levels, got 0");
  }
  if (original_.empty() || original_.size() > std::numeric_limits<std::uint32_t>::max()) {
    throw std::invalid_argument("an image must have 1..2^32-1 coordinates, got " + std::to_string(original_.size()));
  }
  free_count_ = static_cast<std::uint32_t>(original_.size());
}

Space::Space(std::vector<std::uint8_t> original, std::shared_ptr<const RadiusMap> radii, Domain domain)
    : original_(std::move(original)), radii_(std::move(radii)), domain_(domain), size_(original_.size()) {
  if (!radii_ || radii_->radii.size() != original_.size()) {
    throw std::invalid_argument("expected one radius per coordinate (" + std::to_string(original_.size()) + "), got " +
                                std::to_string(radii_ ? radii_->radii.size() : 0));
  }
  if (radii_->free.empty()) {
    throw std::invalid_argument("every radius is 0: no coordinate may change");
  }
  free_ = &radii_->free;
  free_count_ = static_cast<std::uint32_t>(radii_->free.size());
}

Space::Space(std::vector<std::uint8_t> original, std::shared_ptr<const Box> box)
    : original_(std::move(original)), box_(std::move(box)) {
  if (!box_ || box_->shape().size() != original_.size()) {
    throw std::invalid_argument("expected an image of " + std::to_string(box_ ? box_->shape().size() : 0) +
                                " coordinates, got " + std::to_string(original_.size()));
  }
  size_ = box_->low().size();
  free_ = &box_->free();
  free_count_ = static_cast<std::uint32_t>(free_->size());
}

std::int32_t Space::largest() const {
  if (box_) {
    return box_->largest();
  }
  return radii_ ? *std::max_element(radii_->radii.begin(), radii_->radii.end()) : radius_;
}

void Space::restore(const ImageShape& shape) {
  if (box_) {
    *this = Space(std::move(original_), std::make_shared<const Box>(box_->restored(shape)));
  } else if (radii_) {
    *this = Space(std::move(original_), radii_, domain_);
  } else {
    *this = Space(std::move(original_), radius_, domain_);
  }
}

}  // namespace dfa
