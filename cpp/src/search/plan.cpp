#include "dfa/search/plan.hpp"

#include <utility>

namespace dfa {
namespace {

// Successes that are expected of a group of starts before its last.
constexpr double kMostExpected = 0.3;

}  // namespace

std::uint32_t Plan::group_size(std::size_t first) const {
  std::size_t end = first;
  double expected = 0.0;
  while (end < starts.size() && (end == first || expected < kMostExpected)) {
    expected += starts[end++].rate;
  }
  return static_cast<std::uint32_t>(end - first);
}

Plan plan_alone(std::size_t num_starts) {
  Plan plan;
  for (std::uint32_t i = 0; i < num_starts; ++i) {
    plan.starts.push_back({i, i, nullptr, PlannedStart::kTextureRate});
  }
  return plan;
}

PlannedStart prior_start(std::shared_ptr<const Signs> signs) {
  constexpr double kRate = 0.3;
  return {PlannedStart::kPriorEntry, 0, std::move(signs), kRate};
}

}  // namespace dfa
