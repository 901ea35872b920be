#include "dfa/search/proposal.hpp"

#include <algorithm>
#include <cmath>
#include <cstring>

#include "dfa/base/platform.hpp"

#ifdef DFA_HAS_SSE2
#include <emmintrin.h>
#endif

namespace dfa {
namespace {

constexpr int kMaxAttempts = 16;

// A caller's signs are taken by one half of all coordinates, one quarter, or so on, down to one in two to the power of
// this. What each of them brings is little, and adds up over the whole image.
constexpr std::uint32_t kMostHalvings = 3;
constexpr std::uint32_t kWordBits = 32;

#ifdef DFA_HAS_SSE2

// From this size on, an image is written past the caches: a batch of such images does not fit into them, and an
// ordinary store would read each line from memory before overwriting all of it.
constexpr std::size_t kStreamBytes = 65536;
constexpr std::size_t kLine = 64;
constexpr std::size_t kPrefetchBytes = 2048;

void copy_image(std::uint8_t* to, const std::uint8_t* from, std::size_t size) {
  if (size < kStreamBytes) {
    std::memcpy(to, from, size);
    return;
  }
  const std::size_t head = (kLine - reinterpret_cast<std::uintptr_t>(to) % kLine) % kLine;
  std::memcpy(to, from, head);
  const std::size_t num_lines = (size - head) / kLine;
  for (std::size_t i = 0; i < num_lines; ++i) {
    const std::size_t at = head + i * kLine;
    // The processor's own prefetching stops at the end of a page.
    DFA_PREFETCH(from + std::min(at + kPrefetchBytes, size - 1));
    const auto* source = reinterpret_cast<const __m128i*>(from + at);
    auto* target = reinterpret_cast<__m128i*>(to + at);
    for (std::size_t part = 0; part < kLine / sizeof(__m128i); ++part) {
      _mm_stream_si128(target + part, _mm_loadu_si128(source + part));
    }
  }
  _mm_sfence();
  const std::size_t done = head + num_lines * kLine;
  std::memcpy(to + done, from + done, size - done);
}

#else

void copy_image(std::uint8_t* to, const std::uint8_t* from, std::size_t size) { std::memcpy(to, from, size); }

#endif

bool is_picked(const Scratch& scratch, std::uint32_t index) {
  return ((scratch.picked[index / 64U] >> (index % 64U)) & 1U) != 0;
}

void pick(Scratch& scratch, std::uint32_t index) { scratch.picked[index / 64U] |= std::uint64_t{1} << (index % 64U); }

void unpick_all(Scratch& scratch) {
  for (const std::uint32_t index : scratch.indices) {
    scratch.picked[index / 64U] = 0;
  }
}

bool meets_cuts(const Space& space, const Scratch& scratch) {
  return std::any_of(scratch.cuts.begin(), scratch.cuts.end(), [&](const Cut& cut) {
    std::uint32_t index = cut.coordinate;
    if (const std::vector<std::uint32_t>* free = space.free()) {
      index = static_cast<std::uint32_t>(std::lower_bound(free->begin(), free->end(), cut.coordinate) - free->begin());
    }
    return is_picked(scratch, index);
  });
}

std::int32_t draw_value(Values values, const Bounds& bounds, Stream& stream) {
  if (values == Values::kExtremes) {
    return stream.below(2) != 0 ? bounds.high : bounds.low;
  }
  return stream.between(bounds.low, bounds.high);
}

void draw_scattered(const ProposalContext& context, Stream& stream, Scratch& scratch, Proposal& proposal) {
  const Config& config = context.config;
  const Space& space = context.space;
  const std::uint32_t n = std::min(config.coordinates, space.free_count());
  sample_distinct(space.free_count(), n, stream, scratch);
  const bool is_narrowed = meets_cuts(space, scratch);
  unpick_all(scratch);
  // What rendering will read here and there has left the caches since this image's last turn. Asked for now, it is back
  // by the time the parent's image has been copied.
  if (space.box() == nullptr) {
    for (const std::uint32_t index : scratch.indices) {
      DFA_PREFETCH(space.original().data() + space.free_coordinate(index));
    }
  }
  proposal.edits.resize(n);
  for (std::uint32_t i = 0; i < n; ++i) {
    const std::uint32_t p = space.free_coordinate(scratch.indices[i]);
    Bounds bounds = is_narrowed ? bounds_in(space, scratch.cuts, p) : space.bounds(p);
    if (config.region == Region::kPerCoordinate) {
      bounds = cut_coordinate(context.population, proposal.parent, p, bounds, stream);
    }
    proposal.edits[i] = {p, static_cast<std::int16_t>(draw_value(config.values, bounds, stream)), 0, 0, 0};
  }
  sort_by_coordinate(proposal.edits, scratch.sorting, space.size());
}

// Where a window goes: of several places the one that windows have covered least, the first of equals.
void place_window(const ProposalContext& context, Stream& stream, Proposal& proposal) {
  const ImageShape& shape = context.shape;
  const std::uint32_t side = proposal.side;
  double least = 0.0;
  for (std::uint32_t i = 0; i < context.config.placements; ++i) {
    const std::uint32_t top = stream.below(shape.height - side + 1);
    const std::uint32_t left = stream.below(shape.width - side + 1);
    const double covered = context.config.placements == 1 ? 0.0 : context.coverage.under(top, left, side);
    if (i == 0 || covered < least) {
      least = covered;
      proposal.top = top;
      proposal.left = left;
    }
  }
}

// Coordinates all over the image take the caller's signs, the others stay as their parent has them.
void draw_prior(const ProposalContext& context, Stream& stream, Proposal& proposal) {
  proposal.filling = Gains::kPrior;
  proposal.top = 0;
  proposal.left = 0;
  proposal.side = 0;
  Rectangle& rectangle = proposal.rectangle;
  place(context.shape, 0, 0, context.shape.height, context.shape.width, rectangle);
  take(*context.prior, rectangle);
  const std::uint32_t num_halvings = 1 + stream.below(kMostHalvings);
  const Member& parent = context.population[proposal.parent];
  std::uint32_t taking = 0;
  for (std::uint32_t p = 0; p < rectangle.picks_high.size(); ++p) {
    if (p % kWordBits == 0) {
      taking = stream.next();
      for (std::uint32_t i = 1; i < num_halvings; ++i) {
        taking &= stream.next();
      }
    }
    if (((taking >> (p % kWordBits)) & 1U) == 0) {
      const bool is_high = context.population.value(parent, p) == context.space.bounds(p).high;
      rectangle.picks_high[p] = is_high ? 0xff : 0;
    }
  }
}

void draw_rectangle(const ProposalContext& context, Stream& stream, Scratch& scratch, Proposal& proposal) {
  Rectangle& rectangle = proposal.rectangle;
  proposal.side = context.window_side;
  if (context.prior != nullptr && context.gains.draw_is_prior(stream)) {
    draw_prior(context, stream, proposal);
    return;
  }
  place_window(context, stream, proposal);
  place(context.shape, proposal.top, proposal.left, proposal.side, proposal.side, rectangle);
  proposal.filling = context.config.values == Values::kTextures ? context.gains.draw(stream) : Gains::kPlain;
  scratch.channels.resize(context.shape.channels);
  Texture texture{Weave::kPlain, 1};
  if (proposal.filling == Gains::kPlain) {
    for (std::uint8_t& channel : scratch.channels) {
      channel = stream.below(2) != 0 ? 0xff : 0;
    }
  } else {
    texture = kWindowTextures[proposal.filling - 1];
    std::fill(scratch.channels.begin(), scratch.channels.end(), stream.below(2) != 0 ? 0xff : 0);
  }
  weave(texture, proposal.top, proposal.left, scratch.channels, rectangle);
}

void draw_window(const ProposalContext& context, Stream& stream, Scratch& scratch, Proposal& proposal) {
  const Config& config = context.config;
  const Space& space = context.space;
  const ImageShape& shape = context.shape;
  proposal.side = context.window_side;
  place_window(context, stream, proposal);
  std::vector<std::uint32_t>& picks_high = scratch.indices;
  picks_high.resize(shape.channels);
  if (config.values == Values::kExtremes) {
    for (std::uint32_t& pick_high : picks_high) {
      pick_high = stream.below(2);
    }
  }
  proposal.edits.clear();
  for (std::uint32_t row = proposal.top; row < proposal.top + context.window_side; ++row) {
    for (std::uint32_t column = proposal.left; column < proposal.left + context.window_side; ++column) {
      for (std::uint32_t channel = 0; channel < shape.channels; ++channel) {
        const std::uint32_t p = (row * shape.width + column) * shape.channels + channel;
        if (space.radii() != nullptr && space.radii()->radii[p] == 0) {
          continue;
        }
        Bounds bounds = bounds_in(space, scratch.cuts, p);
        if (config.region == Region::kPerCoordinate) {
          bounds = cut_coordinate(context.population, proposal.parent, p, bounds, stream);
        }
        const std::int32_t value = config.values == Values::kExtremes
                                       ? (picks_high[channel] != 0 ? bounds.high : bounds.low)
                                       : stream.between(bounds.low, bounds.high);
        proposal.edits.push_back({p, static_cast<std::int16_t>(value), 0, 0, 0});
      }
    }
  }
}

void assemble(const Population& population, const Member& member, std::vector<std::int16_t>& x) {
  assemble(population.family(member).base, x);
  for (const Edit& edit : member.edits) {
    x[edit.coordinate] = edit.value;
  }
}

// The space moves a copy of the parent; what came out different are the edits.
void draw_own(const ProposalContext& context, Stream& stream, Scratch& scratch, Proposal& proposal) {
  const Population& population = context.population;
  const Member& parent = population[proposal.parent];
  std::vector<std::int16_t>& x = scratch.vector;
  assemble(population, parent, x);
  context.space.box()->moves()->move(context.space.original().data(), x.data(), context.window_share, stream);
  proposal.edits.clear();
  for (std::uint32_t p = 0; p < x.size(); ++p) {
    if (x[p] != population.value(parent, p)) {
      proposal.edits.push_back({p, x[p], 0, 0, 0});
    }
  }
}

// Calls visit(coordinate, value) for what a proposal changes, in order, until it returns false; whether it never did.
template <typename Visit>
bool visit_changes(const Space& space, const Proposal& proposal, Visit&& visit) {
  const Rectangle& rectangle = proposal.rectangle;
  for (std::uint32_t row = 0; row < rectangle.height; ++row) {
    for (std::uint32_t column = 0; column < rectangle.length; ++column) {
      const std::uint32_t p = rectangle.start(row) + column;
      if (!visit(p, rectangle.value(space, row, column))) {
        return false;
      }
    }
  }
  return std::all_of(proposal.edits.begin(), proposal.edits.end(),
                     [&](const Edit& edit) { return visit(edit.coordinate, edit.value); });
}

bool equals_member(const ProposalContext& context, const Proposal& proposal, std::size_t rank, Scratch& scratch) {
  const Population& population = context.population;
  const Member& member = population[rank];
  if (!proposal.rectangle.is_empty() && member.edits.empty()) {
    const Family& family = population.family(member);
    if (!holds(context.space, family.base, family.image.data(), proposal.rectangle, scratch.row)) {
      return false;
    }
  } else if (!visit_changes(context.space, proposal, [&](std::uint32_t p, std::int32_t value) {
               return population.value(member, p) == value;
             })) {
    return false;
  }
  if (rank == proposal.parent) {
    return true;
  }
  const Member& parent = population[proposal.parent];
  std::uint64_t healed = 0;
  visit_changes(context.space, proposal, [&](std::uint32_t p, std::int32_t value) {
    healed += population.value(parent, p) != value ? 1U : 0U;
    return true;
  });
  return healed == population.difference(context.space, parent, member).count;
}

bool equals_positive(const ProposalContext& context, const Proposal& proposal, Scratch& scratch) {
  for (std::size_t rank = 0; rank < context.population.num_positives(); ++rank) {
    if (equals_member(context, proposal, rank, scratch)) {
      return true;
    }
  }
  return false;
}

}  // namespace

void sample_distinct(std::uint32_t size, std::uint32_t n, Stream& stream, Scratch& scratch) {
  const std::size_t words = (std::size_t{size} + 63U) / 64U;
  if (scratch.picked.size() < words) {
    scratch.picked.resize(words, 0);
  }
  scratch.indices.resize(n);
  for (std::uint32_t i = 0; i < n; ++i) {
    const std::uint32_t last = size - n + i;
    std::uint32_t index = stream.below(last + 1);
    if (is_picked(scratch, index)) {
      index = last;
    }
    pick(scratch, index);
    scratch.indices[i] = index;
  }
}

void draw_start(const Config& config, const ImageShape& shape, const Space& space, Stream& stream, DenseVector& whole) {
  whole = DenseVector(space.size(), space.largest());
  if (config.shape == Shape::kOwn) {
    std::vector<std::int16_t> x(space.box()->low());
    space.box()->moves()->start(space.original().data(), x.data(), stream);
    for (std::size_t p = 0; p < x.size(); ++p) {
      whole.set(p, x[p]);
    }
    return;
  }
  if (space.box() != nullptr) {
    // What cannot change need not be 0.
    for (std::uint32_t p = 0; p < space.size(); ++p) {
      whole.set(p, space.bounds(p).low);
    }
  }
  if (config.start == Start::kUniform) {
    for (std::uint32_t i = 0; i < space.free_count(); ++i) {
      const std::uint32_t p = space.free_coordinate(i);
      const Bounds bounds = space.bounds(p);
      whole.set(p, stream.between(bounds.low, bounds.high));
    }
    return;
  }
  const std::size_t line = std::size_t{shape.width} * shape.channels;
  std::vector<bool> picks_high(line);
  for (std::size_t i = 0; i < line; ++i) {
    picks_high[i] = stream.below(2) != 0;
  }
  for (std::uint32_t i = 0; i < space.free_count(); ++i) {
    const std::uint32_t p = space.free_coordinate(i);
    const Bounds bounds = space.bounds(p);
    whole.set(p, picks_high[p % line] ? bounds.high : bounds.low);
  }
}

void weave_start(const ImageShape& shape, std::uint32_t texture, Rectangle& rectangle) {
  place(shape, 0, 0, shape.height, shape.width, rectangle);
  const TexturedStart& start = kTexturedStarts[texture];
  const std::uint8_t high = start.is_turned ? 0 : 0xff;
  weave(start.texture, 0, 0, std::vector<std::uint8_t>(shape.channels, high), rectangle);
}

void draw_proposal(const ProposalContext& context, Stream& stream, Scratch& scratch, Proposal& proposal) {
  const auto num_positives = static_cast<std::uint32_t>(context.population.num_positives());
  for (int attempt = 0; attempt < kMaxAttempts; ++attempt) {
    proposal.parent = stream.below(num_positives);
    scratch.cuts.clear();
    if (context.config.region == Region::kOrdered) {
      cut_ordered(context.space, context.population, proposal.parent, context.differences[proposal.parent], stream,
                  scratch.cuts);
    }
    if (draws_rectangles(context.config)) {
      draw_rectangle(context, stream, scratch, proposal);
    } else if (context.config.shape == Shape::kWindow) {
      draw_window(context, stream, scratch, proposal);
    } else if (context.config.shape == Shape::kOwn) {
      draw_own(context, stream, scratch, proposal);
    } else {
      draw_scattered(context, stream, scratch, proposal);
    }
    if (!equals_positive(context, proposal, scratch)) {
      return;
    }
  }
}

void render_proposal(const Space& space, const Population& population, Proposal& proposal, std::uint8_t* image) {
  const Member& parent = population[proposal.parent];
  const Family& family = population.family(parent);
  copy_image(image, family.image.data(), space.size());
  for (const Edit& edit : parent.edits) {
    image[edit.coordinate] = edit.pixel;
  }
  proposal.rectangle.paint(space, image);
  for (Edit& edit : proposal.edits) {
    const std::int32_t original = space.original()[edit.coordinate];
    edit.base_pixel = family.image[edit.coordinate];
    // Between the ends of the grey scale nothing was clamped, and the base need not be looked up.
    const bool is_clamped = edit.base_pixel == 0 || edit.base_pixel == 255;
    edit.base_value = static_cast<std::int16_t>(is_clamped ? family.base[edit.coordinate] : edit.base_pixel - original);
    edit.pixel = static_cast<std::uint8_t>(std::clamp(original + edit.value, 0, 255));
    image[edit.coordinate] = edit.pixel;
  }
}

void assemble(const DenseVector& whole, std::vector<std::int16_t>& x) {
  x.resize(whole.size());
  for (std::size_t p = 0; p < x.size(); ++p) {
    x[p] = static_cast<std::int16_t>(whole[p]);
  }
}

void assemble_proposal(const Population& population, Proposal& proposal, std::vector<std::int16_t>& x) {
  const Member& parent = population[proposal.parent];
  const DenseVector& base = population.family(parent).base;
  assemble(population, parent, x);
  for (Edit& edit : proposal.edits) {
    edit.base_value = static_cast<std::int16_t>(base[edit.coordinate]);
    x[edit.coordinate] = edit.value;
  }
}

double window_share(const Config& config, std::uint64_t told) {
  double share = config.window_share;
  for (const std::uint64_t halving : config.window_halvings) {
    if (told >= halving) {
      share /= 2.0;
    }
  }
  return share;
}

std::uint32_t window_side(const Config& config, const ImageShape& shape, std::uint64_t told) {
  const double share = window_share(config, told);
  const double side = std::floor(std::sqrt(share * shape.height * shape.width) + 0.5);
  return std::max(1U, std::min({static_cast<std::uint32_t>(side), shape.height, shape.width}));
}

}  // namespace dfa
