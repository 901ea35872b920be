#pragma once

#include <cstdint>
#include <vector>

#include "dfa/search/population.hpp"
#include "dfa/space/space.hpp"

namespace dfa {

/// Where each positive differs from each negative, kept from iteration to iteration.
class Differences {
 public:
  /// Compares the members of a full population. Those born before `born_since` stood in it at the last update too.
  void update(const Space& space, const Population& population, std::uint64_t born_since);
  void clear() { pairs_.clear(); }

  /// [positive][negative], both in rank order.
  const std::vector<std::vector<Difference>>& pairs() const { return pairs_; }

 private:
  std::vector<std::vector<Difference>> pairs_;
  std::vector<std::vector<Difference>> last_;  // of the update before; kept for its memory
};

}  // namespace dfa
