#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "dfa/base/random.hpp"
#include "dfa/search/population.hpp"
#include "dfa/space/space.hpp"

namespace dfa {

/// A coordinate whose bounds were narrowed. A region is the space with at most s of these; no array of the
/// space's dimension is ever written.
struct Cut {
  std::uint32_t coordinate;
  Bounds bounds;
};
using Cuts = std::vector<Cut>;

/// The bounds of a coordinate inside the region.
Bounds bounds_in(const Space& space, const Cuts& cuts, std::uint32_t coordinate);

/// Cuts the space until no negative is left inside (RACOS for ordered dimensions, strict cut).
///
/// The textbook loop draws a coordinate and an active negative until they differ. Between near relatives that takes
/// hundreds of draws that change nothing, so here a pair that differs is drawn at once: uniform over all such pairs,
/// which is the law of the textbook loop conditioned on the draws that cut. A negative that equals the positive can
/// never be cut off and is left out.
///
/// @param to_negatives difference of the positive to each negative, in rank order
void cut_ordered(const Space& space, const Population& population, std::size_t positive,
                 const std::vector<Difference>& to_negatives, Stream& stream, Cuts& cuts);

/// One cut of the given bounds against every negative at one coordinate (the reading "respectively" of line 14).
Bounds cut_coordinate(const Population& population, std::size_t positive, std::uint32_t coordinate, Bounds bounds,
                      Stream& stream);

}  // namespace dfa
