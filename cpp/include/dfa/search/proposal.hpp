#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "dfa/base/random.hpp"
#include "dfa/search/config.hpp"
#include "dfa/search/coverage.hpp"
#include "dfa/search/gains.hpp"
#include "dfa/search/population.hpp"
#include "dfa/search/rectangle.hpp"
#include "dfa/search/region.hpp"
#include "dfa/space/space.hpp"

namespace dfa {

/// A candidate of iteration 1 or later: a positive and the values that Y takes. A window of extremes within no region
/// is a rectangle, anything else edits. Drawing sets their coordinates, ascending, and values; rendering the rest.
struct Proposal {
  std::size_t parent = 0;
  Edits edits;
  Rectangle rectangle;
  std::size_t filling = Gains::kPlain;  ///< of the rectangle
  std::uint32_t top = 0;                ///< of the window
  std::uint32_t left = 0;
  std::uint32_t side = 0;  ///< 0: it lies nowhere in particular
};

/// Memory that one thread reuses from candidate to candidate.
struct Scratch {
  std::vector<std::uint64_t> picked;  ///< one bit per free coordinate, all zero between candidates
  std::vector<std::uint32_t> indices;
  Cuts cuts;
  Edits sorting;
  std::vector<std::uint8_t> image;
  std::vector<std::int16_t> vector;
  std::vector<std::uint8_t> row;
  std::vector<std::uint8_t> channels;
  std::vector<Arrival> arrivals;
};

/// What all proposals of one iteration of one image read.
struct ProposalContext {
  const Config& config;
  const ImageShape& shape;
  const Space& space;
  const Population& population;
  const std::vector<std::vector<Difference>>& differences;  ///< [positive][negative], for Region::kOrdered
  const Gains& gains;                                       ///< for Values::kTextures
  const Coverage& coverage;                                 ///< for Shape::kWindow
  std::uint32_t window_side;                                ///< likewise
  double window_share;                                      ///< for Shape::kOwn
  const Signs* prior = nullptr;                             ///< what the caller says of rank 0; null: nothing
};

/// Draws n distinct indices of 0..size-1 (Floyd): n draws whatever n is, and no array of that size but one of bits.
void sample_distinct(std::uint32_t size, std::uint32_t n, Stream& stream, Scratch& scratch);

/// Draws a whole start (line 1): as the space itself does, uniform within the bounds, or for any other kind of start
/// stripes.
void draw_start(const Config& config, const ImageShape& shape, const Space& space, Stream& stream, DenseVector& whole);

/// Sets the textured start of this number, 0..kNumTexturedStarts-1: a rectangle that is the whole image.
void weave_start(const ImageShape& shape, std::uint32_t texture, Rectangle& rectangle);

/// Draws one candidate (lines 13 to 16). A candidate that equals a positive is drawn again, a bounded number of times:
/// a small space may hold no new point.
void draw_proposal(const ProposalContext& context, Stream& stream, Scratch& scratch, Proposal& proposal);

/// Whether proposals of this configuration are rectangles.
inline bool draws_rectangles(const Config& config) {
  return config.shape == Shape::kWindow && config.values != Values::kUniform && config.region == Region::kNone;
}

/// Whether windows of this configuration go where others have not been, so that where they have been is kept.
inline bool heeds_coverage(const Config& config) { return config.shape == Shape::kWindow && config.placements > 1; }

/// Writes a proposal's image, m bytes, and completes its edits.
void render_proposal(const Space& space, const Population& population, Proposal& proposal, std::uint8_t* image);

/// The same for a space with a renderer: writes whole vectors, of a start or of a proposal, whose edits it completes.
void assemble(const DenseVector& whole, std::vector<std::int16_t>& x);
void assemble_proposal(const Population& population, Proposal& proposal, std::vector<std::int16_t>& x);

/// Share of the area that a window, or a space's own move, covers after `told` candidates.
double window_share(const Config& config, std::uint64_t told);
/// Side of the square window after `told` candidates.
std::uint32_t window_side(const Config& config, const ImageShape& shape, std::uint64_t told);

}  // namespace dfa
