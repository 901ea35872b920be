#pragma once

#include <vector>

#include "dfa/search/config.hpp"
#include "dfa/search/population.hpp"
#include "dfa/search/proposal.hpp"
#include "dfa/space/perturbation.hpp"
#include "dfa/space/space.hpp"

namespace dfa {

/// The candidate that puts together what improved in one iteration.
///
/// Windows of an iteration descend from the same parent, and only one of them can become the best member. What the
/// others brought would be lost, yet windows that help one by one mostly help together. Where networks answer oddly
/// (Plan::bond), so do those that hurt, turned over; they go along in the one query.
class Merger {
 public:
  /// A candidate of the last iteration that improved on its parent.
  struct Improvement {
    double degree;
    const Proposal* proposal;
  };

  /// A window of the last iteration, and by how much its degree lies above its parent's.
  struct Effect {
    double rise;
    const Proposal* proposal;
  };
  /// The windows that raised the degree, by no less than the mean change of all, the other way round, the worst last.
  static std::vector<Proposal> turned_over(const std::vector<Effect>& effects);

  bool is_empty() const { return edits_.empty(); }
  /// Its edits on the best member; base values and pixels are yet to be rendered.
  const Edits& edits() const { return edits_; }
  void clear() { edits_.clear(); }
  /// Puts together windows turned over, the last on top, and above them what improved on the parent that the best
  /// member was made from by `best`, in the order of candidates: the lower its degree, the further on top, and `best`
  /// above all. `best` is null where nothing improved. Empty where the best member holds it all. `population` holds the
  /// best member already.
  void gather(const Space& space, const Population& population, const std::vector<Proposal>& turned,
              const Proposal* best, std::vector<Improvement>& improvements);

  template <typename Self, typename State>
  static void describe(Self& self, State& state) {
    state.field(self.edits_);
  }
  /// Throws std::invalid_argument where what has been read cannot be: `has_parent` says whether anything can.
  void restore(const Space& space, bool has_parent) const;

 private:
  Edits edits_;
};

}  // namespace dfa
