#include "dfa/search/plan.hpp"

#include <algorithm>
#include <utility>

#include "dfa/search/texture.hpp"

namespace dfa {

void Plan::ask_the_first() {
  constexpr std::uint32_t kFirst = 12;
  starts.erase(std::remove_if(starts.begin(), starts.end(),
                              [](const PlannedStart& start) { return !start.signs && start.texture >= kFirst; }),
               starts.end());
  patience = std::numeric_limits<double>::infinity();
}

Plan plan_alone(std::size_t num_starts) {
  Plan plan;
  for (std::uint32_t i = 0; i < num_starts; ++i) {
    plan.starts.push_back(
        {i, i % static_cast<std::uint32_t>(kNumTexturedStarts), nullptr, PlannedStart::kTextureRate, Outlook()});
  }
  return plan;
}

PlannedStart prior_start(std::shared_ptr<const Signs> signs) {
  constexpr double kRate = 0.3;
  return {PlannedStart::kPriorEntry, 0, std::move(signs), kRate, Outlook()};
}

}  // namespace dfa
