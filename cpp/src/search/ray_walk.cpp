#include "dfa/search/ray_walk.hpp"

#include <algorithm>
#include <cstddef>
#include <stdexcept>
#include <string>

#include "dfa/search/proposal.hpp"
#include "dfa/search/rectangle.hpp"

namespace dfa {
namespace {

constexpr std::uint32_t kWhole = RayWalk::kWhole;
// Of the distance beyond the ball: what a look must save, and to what part of it a bisection goes.
constexpr std::uint32_t kShortening = 40;
constexpr std::uint32_t kPrecision = 5;
// Parts of a grey level that are the least of either.
constexpr std::uint32_t kLeast = 32;
// The first tiles are halves. Where the smallest are through, tiles of this level come again.
constexpr std::uint32_t kFirstLevel = 1;
constexpr std::uint32_t kLevelAgain = 4;
constexpr std::uint32_t kMostLevels = 62;

std::uint32_t largest_radius(const Space& space) {
  if (space.radii() == nullptr) {
    return space.radius();
  }
  const std::vector<std::uint8_t>& radii = space.radii()->radii;
  return *std::max_element(radii.begin(), radii.end());
}

/// The reach at which the coordinate of the largest radius has moved by 255.
std::uint32_t farthest(const Space& space) {
  const std::uint32_t radius = largest_radius(space);
  return (255U * kWhole + radius - 1U) / radius;
}

std::uint32_t least_step(const Space& space) { return kWhole / (kLeast * largest_radius(space)); }

/// Multiples of the golden ratio: any few neighbours are rounded at thresholds far apart.
std::uint32_t dither(std::uint32_t p) { return (p * 0x9E3779B9U) >> 16U; }

std::uint32_t tile_rows(const ImageShape& shape, std::uint32_t level) {
  return static_cast<std::uint32_t>(std::min<std::uint64_t>(shape.height, std::uint64_t{1} << ((level + 1U) / 2U)));
}

std::uint32_t tile_columns(const ImageShape& shape, std::uint32_t level) {
  return static_cast<std::uint32_t>(std::min<std::uint64_t>(shape.width, std::uint64_t{1} << (level / 2U)));
}

std::uint32_t num_tiles(const ImageShape& shape, std::uint32_t level) {
  return tile_rows(shape, level) * tile_columns(shape, level);
}

bool has_level(const ImageShape& shape, std::uint32_t level) {
  return (std::uint64_t{1} << ((level + 1U) / 2U)) <= shape.height || (std::uint64_t{1} << (level / 2U)) <= shape.width;
}

/// Calls visit(first coordinate, their number) for each row of a tile.
template <typename Visit>
void visit_tile(const ImageShape& shape, std::uint32_t level, std::uint32_t tile, Visit&& visit) {
  const std::uint64_t rows = tile_rows(shape, level);
  const std::uint64_t columns = tile_columns(shape, level);
  const std::uint64_t row = tile / columns;
  const std::uint64_t column = tile % columns;
  const std::uint64_t left = column * shape.width / columns;
  const std::uint64_t right = (column + 1) * shape.width / columns;
  for (std::uint64_t y = row * shape.height / rows; y < (row + 1) * shape.height / rows; ++y) {
    visit((y * shape.width + left) * shape.channels, (right - left) * shape.channels);
  }
}

bool is_free(const ImageShape& shape, const Space& space, std::uint32_t level, std::uint32_t tile) {
  if (space.radii() == nullptr) {
    return true;
  }
  const std::vector<std::uint8_t>& radii = space.radii()->radii;
  bool is_any = false;
  visit_tile(shape, level, tile, [&](std::uint64_t first, std::uint64_t n) {
    is_any = is_any || std::any_of(radii.begin() + static_cast<std::ptrdiff_t>(first),
                                   radii.begin() + static_cast<std::ptrdiff_t>(first + n),
                                   [](std::uint8_t radius) { return radius != 0; });
  });
  return is_any;
}

void set_sign(Signs& signs, std::size_t p) { signs[p / 64U] |= std::uint64_t{1} << (p % 64U); }

Signs signs_of_start(const RayContext& context, std::uint32_t which) {
  const PlannedStart& start = context.plan.starts[which];
  if (start.signs) {
    return *start.signs;
  }
  Rectangle rectangle;
  weave_start(context.shape, start.texture, rectangle);
  Signs signs(num_words(context.space.size()), 0);
  for (std::uint32_t row = 0; row < rectangle.height; ++row) {
    for (std::uint32_t column = 0; column < rectangle.length; ++column) {
      if (rectangle.picks_high[column] != rectangle.turn(row)) {
        set_sign(signs, rectangle.start(row) + column);
      }
    }
  }
  return signs;
}

}  // namespace

std::uint32_t RayWalk::shortening(const Space& space) const {
  return std::max((nearest_ - kWhole) / kShortening, least_step(space));
}

Signs RayWalk::direction(const RayContext& context) const {
  if (stage_ != Stage::kLook) {
    return signs_;
  }
  if (num_starts_ < context.plan.starts.size()) {
    return signs_of_start(context, num_starts_);
  }
  Signs turned = signs_;
  visit_tile(context.shape, level_, tile_, [&](std::uint64_t first, std::uint64_t n) {
    for (std::uint64_t p = first; p < first + n; ++p) {
      turned[p / 64U] ^= std::uint64_t{1} << (p % 64U);
    }
  });
  return turned;
}

std::uint32_t RayWalk::reach(const Space& space) const {
  if (nearest_ == 0) {
    return farthest(space);
  }
  if (stage_ == Stage::kLook) {
    return std::max(kWhole, nearest_ - std::min(nearest_, shortening(space)));
  }
  const std::uint32_t from = std::max(low_, kWhole);
  if (low_ == 0 && nearest_ - kWhole <= least_step(space)) {
    return kWhole;
  }
  const std::uint32_t middle = from + (nearest_ - from) / 2U;
  return stage_ == Stage::kBisect ? middle : std::max(middle, nearest_ - std::min(nearest_, stride_));
}

void RayWalk::render(const RayContext& context, std::uint8_t* image) const {
  const Space& space = context.space;
  const Signs signs = direction(context);
  const std::uint32_t scale = reach(space);
  const std::uint8_t* original = space.original().data();
  const std::uint8_t* radii = space.radii() != nullptr ? space.radii()->radii.data() : nullptr;
  for (std::uint32_t p = 0; p < space.size(); ++p) {
    const std::uint32_t radius = radii != nullptr ? radii[p] : space.radius();
    const auto change = static_cast<std::int32_t>((radius * scale + dither(p)) >> 16U);
    const bool is_raised = ((signs[p / 64U] >> (p % 64U)) & 1U) != 0;
    image[p] = static_cast<std::uint8_t>(std::clamp(original[p] + (is_raised ? change : -change), 0, 255));
  }
}

void RayWalk::tell(const RayContext& context, bool is_seen) {
  const std::uint32_t asked = reach(context.space);
  if (stage_ == Stage::kLook) {
    if (!is_seen) {
      next_direction(context);
      return;
    }
    const bool is_first = nearest_ == 0;
    const bool is_start = num_starts_ < context.plan.starts.size();
    signs_ = direction(context);
    stride_ = is_first ? 0 : 2U * shortening(context.space);
    // A start was asked at the ends of the ball before the walk began.
    low_ = is_start ? kWhole : 0;
    stage_ = is_first ? Stage::kBisect : Stage::kStride;
    nearest_ = asked;
  } else if (is_seen) {
    nearest_ = asked;
    stride_ *= 2U;
  } else {
    low_ = asked;
    stage_ = Stage::kBisect;
  }
  go_on(context);
}

void RayWalk::go_on(const RayContext& context) {
  const std::uint32_t least = least_step(context.space);
  const std::uint32_t precision = std::max((nearest_ - kWhole) / kPrecision, least);
  const bool is_narrow = nearest_ - std::max(low_, kWhole) <= precision;
  const bool is_untried = low_ == 0 && nearest_ > kWhole;
  if (is_narrow && !is_untried) {
    next_direction(context);
  }
}

void RayWalk::next_direction(const RayContext& context) {
  const bool was_start = num_starts_ < context.plan.starts.size();
  stage_ = Stage::kLook;
  low_ = 0;
  stride_ = 0;
  if (was_start) {
    if (++num_starts_ < context.plan.starts.size()) {
      return;
    }
    if (signs_.empty()) {
      signs_ = signs_of_start(context, 0);
    }
    level_ = kFirstLevel;
    tile_ = 0;
  } else {
    next_tile(context.shape);
  }
  while (!is_free(context.shape, context.space, level_, tile_)) {
    next_tile(context.shape);
  }
}

void RayWalk::next_tile(const ImageShape& shape) {
  if (++tile_ < num_tiles(shape, level_)) {
    return;
  }
  tile_ = 0;
  ++level_;
  if (!has_level(shape, level_)) {
    level_ = kLevelAgain;
    while (level_ > 0 && !has_level(shape, level_)) {
      --level_;
    }
  }
}

void RayWalk::check(const RayContext& context) const {
  const std::size_t num_starts = context.plan.starts.size();
  const bool has_signs = signs_.size() == num_words(context.space.size());
  const std::uint32_t far = farthest(context.space);
  const bool is_looking = stage_ == Stage::kLook;
  const bool is_near = nearest_ >= kWhole && nearest_ <= far;
  const bool is_sound =
      (has_signs || (signs_.empty() && nearest_ == 0 && num_starts_ < num_starts)) && (nearest_ == 0 || is_near) &&
      num_starts_ <= num_starts && level_ <= kMostLevels &&
      (level_ <= kFirstLevel || has_level(context.shape, level_)) && tile_ < num_tiles(context.shape, level_) &&
      (is_looking ? low_ == 0 : is_near && (low_ == 0 || (low_ >= kWhole && low_ < nearest_))) && stride_ < (1U << 30U);
  if (!is_sound) {
    throw std::invalid_argument("saved state holds a walk that cannot be");
  }
}

}  // namespace dfa
