#include "dfa/search/merger.hpp"

#include <algorithm>
#include <cmath>
#include <stdexcept>

namespace dfa {
namespace {

// What a proposal changes, as edits on another base than the one it was made for.
Edits edits_on(const Family& family, const Space& space, const Proposal& proposal) {
  if (!proposal.rectangle.is_empty()) {
    return proposal.rectangle.edits(space, family.base);
  }
  Edits edits = proposal.edits;
  for (Edit& edit : edits) {
    edit.base_value = static_cast<std::int16_t>(family.base[edit.coordinate]);
  }
  return edits;
}

}  // namespace

std::vector<Proposal> Merger::turned_over(const std::vector<Effect>& effects) {
  double changes = 0.0;
  for (const Effect& effect : effects) {
    changes += std::abs(effect.rise);
  }
  std::vector<Effect> hurt;
  for (const Effect& effect : effects) {
    if (effect.rise > 0.0 && effect.rise >= changes / static_cast<double>(effects.size())) {
      hurt.push_back(effect);
    }
  }
  std::stable_sort(hurt.begin(), hurt.end(), [](const Effect& a, const Effect& b) { return a.rise < b.rise; });
  std::vector<Proposal> turned;
  for (const Effect& effect : hurt) {
    turned.push_back(*effect.proposal);
    for (std::uint8_t& pick : turned.back().rectangle.picks_high) {
      pick = static_cast<std::uint8_t>(~pick);
    }
  }
  return turned;
}

void Merger::gather(const Space& space, const Population& population, const std::vector<Proposal>& turned,
                    const Proposal* best, std::vector<Improvement>& improvements) {
  edits_.clear();
  const Family& family = population.family(population[0]);  // whose base is the best member
  for (const Proposal& proposal : turned) {
    edits_ = overlay(edits_, edits_on(family, space, proposal));
  }
  if (best == nullptr) {
    return;
  }
  // Of equals the later one lies on top.
  std::stable_sort(improvements.begin(), improvements.end(),
                   [](const Improvement& a, const Improvement& b) { return a.degree > b.degree; });
  for (const Improvement& improvement : improvements) {
    if (improvement.proposal != best && improvement.proposal->parent == best->parent) {
      edits_ = overlay(edits_, edits_on(family, space, *improvement.proposal));
    }
  }
  if (!edits_.empty()) {
    edits_ = overlay(edits_, edits_on(family, space, *best));
  }
}

void Merger::restore(const Space& space, bool has_parent) const {
  if (!edits_.empty() && !has_parent) {
    throw std::invalid_argument("saved state holds a merger of nothing");
  }
  check(edits_, space);
}

}  // namespace dfa
