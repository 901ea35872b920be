#include "dfa/search/merger.hpp"

#include <algorithm>
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

void Merger::gather(const Space& space, const Population& population, const Proposal& best,
                    std::vector<Improvement>& improvements) {
  edits_.clear();
  // Of equals the later one lies on top.
  std::stable_sort(improvements.begin(), improvements.end(),
                   [](const Improvement& a, const Improvement& b) { return a.degree > b.degree; });
  const Family& family = population.family(population[0]);  // whose base is the best member
  for (const Improvement& improvement : improvements) {
    if (improvement.proposal != &best && improvement.proposal->parent == best.parent) {
      edits_ = overlay(edits_, edits_on(family, space, *improvement.proposal));
    }
  }
  if (!edits_.empty()) {
    edits_ = overlay(edits_, edits_on(family, space, best));
  }
}

void Merger::restore(const Space& space, bool has_parent) const {
  if (!edits_.empty() && !has_parent) {
    throw std::invalid_argument("saved state holds a merger of nothing");
  }
  check(edits_, space);
}

}  // namespace dfa
