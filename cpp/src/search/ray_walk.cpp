#include "dfa/search/ray_walk.hpp"

#include <algorithm>
#include <array>
#include <cstddef>
#include <stdexcept>
#include <string>
#include <utility>

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
// What is turned over after the starts: tiles first, from halves to sixteenths, where the label is not near at all.
constexpr Parting tiles(std::uint32_t level) { return {false, level}; }
constexpr Parting blocks(std::uint32_t level) { return {true, level}; }
constexpr std::array kRoundsAfterStarts{tiles(1),  tiles(2),  tiles(3),  tiles(4),  blocks(1), blocks(2),
                                        blocks(3), tiles(5),  blocks(4), blocks(5), tiles(6),  blocks(6),
                                        tiles(7),  blocks(7), tiles(8),  blocks(8), tiles(9),  blocks(9)};
// The last of them only where the label is seen beyond the ball by no more than this part of it.
constexpr std::uint32_t kRoundsIfFar = 14;
constexpr std::uint32_t kNear = 16;
// And after the plain signs: blocks.
constexpr std::uint32_t kPlainRounds = 9;
// Then tiles and blocks in turn, from this level to the smallest, and again.
constexpr std::uint32_t kLevelAgain = 4;

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

std::uint64_t block_size(const ImageShape& shape, std::uint32_t level) { return ((shape.size() - 1U) >> level) + 1U; }

/// Calls visit(coordinate) for all of a part.
template <typename Visit>
void visit_part(const ImageShape& shape, const Parting& parting, std::uint32_t part, Visit&& visit) {
  if (parting.has_blocks) {
    const std::uint64_t plane = std::uint64_t{shape.height} * shape.width;
    const std::uint64_t size = block_size(shape, parting.level);
    const std::uint64_t end = std::min<std::uint64_t>((part + std::uint64_t{1}) * size, shape.size());
    for (std::uint64_t i = part * size; i < end; ++i) {
      visit(i % plane * shape.channels + i / plane);
    }
    return;
  }
  const std::uint64_t rows = tile_rows(shape, parting.level);
  const std::uint64_t columns = tile_columns(shape, parting.level);
  const std::uint64_t row = part / columns;
  const std::uint64_t column = part % columns;
  const std::uint64_t left = column * shape.width / columns;
  const std::uint64_t right = (column + 1) * shape.width / columns;
  for (std::uint64_t y = row * shape.height / rows; y < (row + 1) * shape.height / rows; ++y) {
    for (std::uint64_t p = (y * shape.width + left) * shape.channels; p < (y * shape.width + right) * shape.channels;
         ++p) {
      visit(p);
    }
  }
}

bool is_free(const ImageShape& shape, const Space& space, const Parting& parting, std::uint32_t part) {
  if (space.radii() == nullptr) {
    return true;
  }
  const std::vector<std::uint8_t>& radii = space.radii()->radii;
  bool is_any = false;
  visit_part(shape, parting, part, [&](std::uint64_t p) { is_any = is_any || radii[p] != 0; });
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

Signs plain_signs(std::size_t size) {
  Signs signs(num_words(size), 0);
  for (std::size_t p = 0; p < size; ++p) {
    set_sign(signs, p);
  }
  return signs;
}

}  // namespace

std::uint32_t Parting::num_parts(const ImageShape& shape) const {
  if (has_blocks) {
    const std::uint64_t size = block_size(shape, level);
    return static_cast<std::uint32_t>((shape.size() - 1U) / size + 1U);
  }
  return tile_rows(shape, level) * tile_columns(shape, level);
}

std::size_t RayWalk::num_starts(const RayContext& context) const {
  return descent_ == Descent::kStarts ? context.plan.starts.size() : descent_ == Descent::kPlain ? 1U : 0U;
}

Signs RayWalk::start(const RayContext& context, std::uint32_t which) const {
  return descent_ == Descent::kStarts ? signs_of_start(context, which) : plain_signs(context.space.size());
}

std::uint32_t RayWalk::num_rounds(const ImageShape& shape) const {
  if (descent_ == Descent::kStarts) {
    const bool is_near = nearest_ != 0 && nearest_ - kWhole <= kWhole / kNear;
    return is_near ? static_cast<std::uint32_t>(kRoundsAfterStarts.size()) : kRoundsIfFar;
  }
  if (descent_ == Descent::kPlain) {
    return kPlainRounds;
  }
  std::uint32_t level = kLevelAgain;
  while ((std::uint64_t{1} << level) < shape.size()) {
    ++level;
  }
  return 2U * (level - kLevelAgain + 1U);
}

Parting RayWalk::parting() const {
  if (descent_ == Descent::kStarts) {
    return kRoundsAfterStarts[round_];
  }
  if (descent_ == Descent::kPlain) {
    return {true, round_ + 1U};
  }
  return {round_ % 2U != 0, kLevelAgain + round_ / 2U};
}

std::uint32_t RayWalk::shortening(const Space& space) const {
  return std::max((nearest_ - kWhole) / kShortening, least_step(space));
}

Signs RayWalk::direction(const RayContext& context) const {
  if (stage_ != Stage::kLook) {
    return signs_;
  }
  if (is_at_start(context)) {
    return start(context, num_starts_);
  }
  Signs turned = signs_;
  visit_part(context.shape, parting(), part_,
             [&](std::uint64_t p) { turned[p / 64U] ^= std::uint64_t{1} << (p % 64U); });
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
    // A start was asked at the ends of the ball before the walk began, plain signs were not.
    const bool was_asked = descent_ == Descent::kStarts && is_at_start(context);
    signs_ = direction(context);
    stride_ = is_first ? 0 : 2U * shortening(context.space);
    low_ = was_asked ? kWhole : 0;
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
  stage_ = Stage::kLook;
  low_ = 0;
  if (is_at_start(context)) {
    ++num_starts_;
    if (is_at_start(context)) {
      return;
    }
    if (signs_.empty()) {
      signs_ = start(context, 0);
    }
  } else {
    next_part(context);
  }
  while (!is_at_start(context) && !is_free(context.shape, context.space, parting(), part_)) {
    next_part(context);
  }
}

void RayWalk::next_part(const RayContext& context) {
  if (++part_ < parting().num_parts(context.shape)) {
    return;
  }
  part_ = 0;
  if (++round_ < num_rounds(context.shape)) {
    return;
  }
  round_ = 0;
  if (descent_ != Descent::kNearer) {
    next_descent();
  }
}

void RayWalk::next_descent() {
  num_starts_ = 0;
  if (descent_ == Descent::kStarts) {
    descent_ = Descent::kPlain;
    other_signs_ = std::exchange(signs_, {});
    other_nearest_ = std::exchange(nearest_, 0U);
    return;
  }
  descent_ = Descent::kNearer;
  if (other_nearest_ != 0 && (nearest_ == 0 || other_nearest_ <= nearest_)) {
    signs_ = other_signs_;
    nearest_ = other_nearest_;
  }
  other_signs_.clear();
  other_nearest_ = 0;
}

void RayWalk::check(const RayContext& context) const {
  const std::uint32_t far = farthest(context.space);
  const auto is_reached = [&](const Signs& signs, std::uint32_t nearest) {
    return signs.size() == num_words(context.space.size()) && (nearest == 0 || (nearest >= kWhole && nearest <= far));
  };
  const bool is_begun = is_reached(signs_, nearest_);
  const bool is_first = signs_.empty() && nearest_ == 0 && is_at_start(context) && round_ == 0 && part_ == 0;
  const bool has_other = descent_ == Descent::kPlain ? is_reached(other_signs_, other_nearest_)
                                                     : other_signs_.empty() && other_nearest_ == 0;
  const bool is_looking = stage_ == Stage::kLook;
  const bool is_between = nearest_ != 0 && (low_ == 0 || (low_ >= kWhole && low_ < nearest_));
  const bool is_sound = (is_begun || is_first) && has_other && num_starts_ <= num_starts(context) &&
                        round_ < num_rounds(context.shape) && part_ < parting().num_parts(context.shape) &&
                        (is_looking ? low_ == 0 : is_between) && stride_ < (1U << 30U);
  if (!is_sound) {
    throw std::invalid_argument("saved state holds a walk that cannot be");
  }
}

}  // namespace dfa
