#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "dfa/search/lesson.hpp"
#include "dfa/search/plan.hpp"
#include "dfa/search/texture.hpp"

namespace dfa {

/// The starts of a search's first descent: which of the planned ones are asked, and when.
///
/// What a start leaves of the degree is forecast from what is expected of it, from what the textured starts answered so
/// far have left beyond what was expected of them, and from its own texture the other way round. One is asked while the
/// forecast, less Plan::patience standard deviations, is below the best that was answered.
class Opening {
 public:
  /// Starts that are asked together at the most, so that others may learn from them.
  static constexpr std::size_t kMostTogether = 3;

  /// Chooses the starts of the next iteration, in their order. Of those that are worth asking so many go together: at
  /// least `least`, at most `most`, and one more while few successes are expected of those before it.
  void choose(const Plan& plan, std::size_t least, std::size_t most);
  /// Takes the degree of each that was chosen, in their order, and says how they had been forecast.
  std::vector<Surprise> answer(const Plan& plan, const std::vector<double>& degrees);

  std::size_t num_answered() const { return answers_.size(); }
  std::size_t num_asked() const { return answers_.size() + chosen_.size(); }
  /// The number in the plan of the start that was asked as the `birth`-th.
  std::size_t start(std::size_t birth) const {
    return birth < answers_.size() ? answers_[birth].start : chosen_[birth - answers_.size()];
  }
  /// Throws std::invalid_argument where what has been read answers no such plan.
  void check(const Plan& plan) const;

  template <typename Self, typename State>
  static void describe(Self& self, State& state) {
    state.field(self.answers_);
  }

 private:
  struct Answer {
    std::uint32_t start = 0;  ///< its number in the plan
    double root = 0.0;

    template <typename Self, typename State>
    static void describe(Self& self, State& state) {
      state.field(self.start);
      state.field(self.root);
      state.require(self.root >= 0.0 && self.root <= root_left(kLargestRatio), "an answer of a start that cannot be");
    }
  };
  /// What the answers say of other starts.
  struct Hints {
    double shift = 0.0;  ///< how much more textured starts have left than was expected of them, on average, held back
    std::array<double, kNumTexturedStarts> surprises{};  ///< by how much each has left more than that; 0: not answered

    /// Of the same texture the other way round.
    double surprise_of_other(const PlannedStart& start) const;
    double forecast(const PlannedStart& start) const;
  };

  Hints hints(const Plan& plan) const;

  std::vector<Answer> answers_;
  std::vector<std::uint32_t> chosen_;  // follows from the answers
};

}  // namespace dfa
