#include "dfa/search/plan.hpp"

#include "dfa/search/texture.hpp"

namespace dfa {

Plan plan_alone(std::size_t num_starts) {
  Plan plan;
  for (std::uint32_t i = 0; i < num_starts; ++i) {
    plan.starts.push_back({i, i % kNumTexturedStarts, nullptr, PlannedStart::kTextureRate, Outlook()});
  }
  return plan;
}

}  // namespace dfa
