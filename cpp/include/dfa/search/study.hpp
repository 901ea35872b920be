#pragma once

#include <cstdint>
#include <vector>

#include "dfa/base/image.hpp"
#include "dfa/search/config.hpp"
#include "dfa/space/space.hpp"

namespace dfa {

/// For studies of the sampler: draws proposals from a population given as whole vectors in rank order, as a search with
/// image id 0 draws those of iteration 1. Returns `count` vectors.
std::vector<std::vector<std::int32_t>> draw_from(const Config& config, const ImageShape& shape, const Space& space,
                                                 const std::vector<std::vector<std::int32_t>>& members,
                                                 std::uint64_t seed, std::uint32_t count);

}  // namespace dfa
