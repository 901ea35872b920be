#include "dfa/search/config.hpp"

#include <limits>
#include <stdexcept>
#include <string>

#include "dfa/search/texture.hpp"

namespace dfa {
namespace {

void require(bool condition, const std::string& message) {
  if (!condition) {
    throw std::invalid_argument(message);
  }
}

}  // namespace

void validate(const Config& config) {
  // The bound keeps ranks and candidate numbers far inside their types.
  constexpr std::uint32_t kMost = 1U << 20U;
  require(config.samples >= 1 && config.samples <= kMost,
          "samples must be in 1.." + std::to_string(kMost) + ", got " + std::to_string(config.samples));
  require(config.positives >= 1 && config.positives <= kMost,
          "positives must be in 1.." + std::to_string(kMost) + ", got " + std::to_string(config.positives));
  require(config.coordinates >= 1, "coordinates must be at least 1, got 0");
  require(config.starts == 0 || config.starts >= config.population(),
          "starts must be at least samples + positives, got " + std::to_string(config.starts));
  require(config.starts <= 2 * kMost,
          "starts must be at most " + std::to_string(2 * kMost) + ", got " + std::to_string(config.starts));
  require(config.start != Start::kTextures || config.num_starts() <= kNumTexturedStarts,
          "there are " + std::to_string(kNumTexturedStarts) + " textured starts, got starts of " +
              std::to_string(config.num_starts()));
  const bool is_woven =
      (config.shape == Shape::kWindow || config.shape == Shape::kRay) && config.region == Region::kNone;
  require(config.values != Values::kTextures || is_woven, "textures need windows and no region");
  require(config.shape != Shape::kRay || (is_woven && config.start == Start::kTextures),
          "rays need textured starts and no region");
  require(config.shape != Shape::kOwn || (config.region == Region::kNone && config.start == Start::kUniform),
          "a space's own moves need a uniform start and no region");
  require(config.restart_after != 1, "restart_after must be 0 (never) or at least 2, got 1");
  require(config.rest_ratio > 0.0 && config.rest_ratio <= 1.0,
          "rest_ratio must be in (0, 1], got " + std::to_string(config.rest_ratio));
  require(config.improvements >= 0.0 && config.improvements <= 64.0,
          "improvements must be in [0, 64], got " + std::to_string(config.improvements));
  require(config.improvements == 0.0 || is_woven, "improvements need windows and no region");
  require(!config.prior || (config.values == Values::kTextures && config.positives == 1),
          "a prior needs textures and one positive, got positives of " + std::to_string(config.positives));
  require(config.placements >= 1 && config.placements <= kMost,
          "placements must be in 1.." + std::to_string(kMost) + ", got " + std::to_string(config.placements));
  require(config.window_share > 0.0 && config.window_share <= 1.0,
          "window_share must be in (0, 1], got " + std::to_string(config.window_share));
  for (std::size_t i = 1; i < config.window_halvings.size(); ++i) {
    require(config.window_halvings[i - 1] <= config.window_halvings[i], "window_halvings must ascend");
  }
}

void validate(const Config& config, const ImageShape& shape, const Space& space) {
  if (space.original().size() != shape.size()) {
    throw std::invalid_argument("expected an image of " + std::to_string(shape.size()) + " coordinates, got " +
                                std::to_string(space.original().size()));
  }
  if (space.box() != nullptr &&
      !(space.box()->shape() == shape && config.shape != Shape::kWindow && config.start == Start::kUniform)) {
    throw std::invalid_argument("windows, stripes and textures lie on an image; the space " + space.box()->kind() +
                                " needs scattered coordinates or its own moves, a uniform start, and images of its "
                                "shape");
  }
  if (config.shape == Shape::kOwn && (space.box() == nullptr || space.box()->moves() == nullptr)) {
    throw std::invalid_argument("shape 'own' needs a space that moves its vectors itself, within its own intervals; " +
                                (space.box() == nullptr ? "a ball" : "the space " + space.box()->kind()) + " does not");
  }
  if (std::uint64_t{config.samples} * space.free_count() > std::numeric_limits<std::uint32_t>::max()) {
    throw std::invalid_argument("samples times coordinates must stay below 2^32; use fewer samples");
  }
}

}  // namespace dfa
