#include "dfa/search/differences.hpp"

#include <cstddef>
#include <limits>
#include <utility>

namespace dfa {

void Differences::update(const Space& space, const Population& population, std::uint64_t born_since) {
  // Vectors never change, so most of what was compared for the last iteration holds for this one. Members that stay
  // keep their order, and those born since are known by their births, so walking both lists side by side finds it.
  constexpr std::size_t kUnknown = std::numeric_limits<std::size_t>::max();
  const std::size_t k = population.num_positives();
  last_.swap(pairs_);
  pairs_.resize(k);
  std::vector<std::size_t> columns(population.size() - k, kUnknown);
  if (!last_.empty()) {
    const std::vector<Difference>& last = last_.front();
    std::size_t next = 0;
    for (std::size_t n = 0; n < columns.size(); ++n) {
      const std::uint64_t birth = population[k + n].birth;
      // One that was a positive stands nowhere in the list; there are k of them at most.
      for (std::size_t i = next; birth < born_since && i < last.size(); ++i) {
        if (last[i].birth_b == birth) {
          columns[n] = i;
          next = i + 1;
          break;
        }
      }
    }
  }
  std::size_t next = 0;
  for (std::size_t a = 0; a < k; ++a) {
    const Member& plus = population[a];
    while (plus.birth < born_since && next < last_.size() && last_[next].front().birth_a != plus.birth) {
      ++next;
    }
    const bool is_known = plus.birth < born_since && next < last_.size();
    pairs_[a].clear();
    for (std::size_t n = 0; n < columns.size(); ++n) {
      if (is_known && columns[n] != kUnknown) {
        pairs_[a].push_back(std::move(last_[next][columns[n]]));
      } else {
        pairs_[a].push_back(population.difference(space, plus, population[k + n]));
      }
    }
  }
}

}  // namespace dfa
