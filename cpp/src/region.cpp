#include "dfa/region.hpp"

#include <algorithm>

namespace dfa {

Bounds bounds_in(const Ball& ball, const Cuts& cuts, std::uint32_t coordinate) {
  for (const Cut& cut : cuts) {
    if (cut.coordinate == coordinate) {
      return cut.bounds;
    }
  }
  return ball.bounds(coordinate);
}

void cut_ordered(const Ball& ball, const Population& population, std::size_t positive,
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
    const Member& minus = population[k + active[chosen]];
    std::uint32_t coordinate = 0;
    if (difference.is_listed) {
      coordinate = difference.coordinates[static_cast<std::size_t>(offset)];
    } else {
      do {
        coordinate = ball.free_coordinate(stream.below(ball.free_count()));
      } while (population.value(minus, coordinate) == population.value(plus, coordinate));
    }

    Bounds bounds = bounds_in(ball, cuts, coordinate);
    const std::int32_t inside = population.value(plus, coordinate);
    const std::int32_t outside = population.value(minus, coordinate);
    if (inside < outside) {
      bounds.high = std::min(bounds.high, stream.between(inside, outside - 1));
    } else {
      bounds.low = std::max(bounds.low, stream.between(outside + 1, inside));
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
                                  const std::int32_t v = population.value(population[k + n], coordinate);
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
