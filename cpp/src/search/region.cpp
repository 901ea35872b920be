#include "dfa/search/region.hpp"

#include <algorithm>

namespace dfa {
namespace {

// Draws a coordinate at which two members differ, where most do.
Departure draw_departure(const Space& space, const Population& population, const Member& a, const Member& b,
                         Stream& stream) {
  for (;;) {
    const std::uint32_t coordinate = space.free_coordinate(stream.below(space.free_count()));
    const std::int32_t value_a = population.value(a, coordinate);
    const std::int32_t value_b = population.value(b, coordinate);
    if (value_a != value_b) {
      return {coordinate, static_cast<std::int16_t>(value_a), static_cast<std::int16_t>(value_b)};
    }
  }
}

// What a negative holds at a coordinate where the positive holds `inside`.
std::int32_t value_of(const Population& population, const Difference& difference, const Member& negative,
                      std::uint32_t coordinate, std::int32_t inside) {
  if (!difference.is_listed) {
    return population.value(negative, coordinate);
  }
  const auto found =
      std::lower_bound(difference.departures.begin(), difference.departures.end(), coordinate,
                       [](const Departure& departure, std::uint32_t p) { return departure.coordinate < p; });
  return found != difference.departures.end() && found->coordinate == coordinate ? found->value_b : inside;
}

}  // namespace

Bounds bounds_in(const Space& space, const Cuts& cuts, std::uint32_t coordinate) {
  for (const Cut& cut : cuts) {
    if (cut.coordinate == coordinate) {
      return cut.bounds;
    }
  }
  return space.bounds(coordinate);
}

void cut_ordered(const Space& space, const Population& population, std::size_t positive,
                 const std::vector<Difference>& to_negatives, Stream& stream, Cuts& cuts) {
  cuts.clear();
  const std::size_t k = population.num_positives();
  const Member& plus = population[positive];
  std::vector<std::size_t> active;
  active.reserve(to_negatives.size());
  for (std::size_t n = 0; n < to_negatives.size(); ++n) {
    if (to_negatives[n].count != 0) {
      active.push_back(n);
    }
  }
  while (!active.empty()) {
    std::uint64_t total = 0;
    for (const std::size_t n : active) {
      total += to_negatives[n].count;
    }
    std::uint64_t offset = stream.below(static_cast<std::uint32_t>(total));
    std::size_t chosen = 0;
    while (offset >= to_negatives[active[chosen]].count) {
      offset -= to_negatives[active[chosen]].count;
      ++chosen;
    }
    const Difference& difference = to_negatives[active[chosen]];
    Departure departure{};
    if (difference.is_listed) {
      departure = difference.departures[static_cast<std::size_t>(offset)];
    } else {
      departure = draw_departure(space, population, plus, population[k + active[chosen]], stream);
    }

    const std::uint32_t coordinate = departure.coordinate;
    const std::int32_t inside = departure.value_a;
    const std::int32_t outside = departure.value_b;
    // The negative is still inside the bounds, so the cut tightens them whatever it draws.
    Bounds bounds = bounds_in(space, cuts, coordinate);
    if (inside < outside) {
      bounds.high = stream.between(inside, outside - 1);
    } else {
      bounds.low = stream.between(outside + 1, inside);
    }
    const auto known =
        std::find_if(cuts.begin(), cuts.end(), [coordinate](const Cut& cut) { return cut.coordinate == coordinate; });
    if (known == cuts.end()) {
      cuts.push_back({coordinate, bounds});
    } else {
      known->bounds = bounds;
    }
    active.erase(std::remove_if(active.begin(), active.end(),
                                [&](std::size_t n) {
                                  const std::int32_t v =
                                      value_of(population, to_negatives[n], population[k + n], coordinate, inside);
                                  return v < bounds.low || v > bounds.high;
                                }),
                 active.end());
  }
}

Bounds cut_coordinate(const Population& population, std::size_t positive, std::uint32_t coordinate, Bounds bounds,
                      Stream& stream) {
  const std::int32_t inside = population.value(population[positive], coordinate);
  for (std::size_t n = population.num_positives(); n < population.size(); ++n) {
    const std::int32_t outside = population.value(population[n], coordinate);
    if (inside < outside) {
      bounds.high = std::min(bounds.high, stream.between(inside, outside - 1));
    } else if (inside > outside) {
      bounds.low = std::max(bounds.low, stream.between(outside + 1, inside));
    }
  }
  return bounds;
}

}  // namespace dfa
