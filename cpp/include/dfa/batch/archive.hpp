#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "dfa/search/gains.hpp"
#include "dfa/search/lesson.hpp"
#include "dfa/search/plan.hpp"
#include "dfa/space/signs.hpp"

namespace dfa {

/// What the images of a run learn from one another: which starts worked for which goal (the original class in an
/// untargeted run, the target in a targeted one), perturbations that broke images, and how windows are best filled.
/// Who may learn from whom is for Curriculum to say: a plan depends on the lessons before it, in their order.
class Archive {
 public:
  explicit Archive(std::size_t num_coordinates);

  /// What is planned for an image. `prior` holds the signs of a start that the caller's prior gave, or null.
  Plan plan(std::int64_t goal, double scale, std::shared_ptr<const Signs> prior = nullptr) const;
  void learn(std::int64_t goal, const Lesson& lesson);
  /// Number of perturbations kept.
  std::size_t size() const { return entries_.size() - kNumTexturedStarts; }

  /// The exact state, as bytes, and back. Throws std::invalid_argument for bytes it cannot use.
  std::string save() const;
  static Archive load(const std::string& bytes);

  template <typename Self, typename State>
  static void describe(Self& self, State& state) {
    state.field(self.num_coordinates_);
    state.part("entries", self.entries_);
    state.field(self.next_name_);
    state.field(self.same_goal_);
    state.field(self.other_goal_);
    state.field(self.prior_);
    state.field(self.gains_);
    state.field(self.searches_);
    state.field(self.windows_);
    state.require(is_tally(self.searches_) && is_tally(self.windows_), kNoTally);
    if constexpr (State::kReads) {
      self.check_entries();
    }
  }

 private:
  struct Score {
    double trials = 0.0;
    double successes = 0.0;
    double ratios = 0.0;
    double roots = 0.0;  // of these

    void add(double ratio);

    template <typename Self, typename State>
    static void describe(Self& self, State& state) {
      state.field(self.trials);
      state.field(self.successes);
      state.field(self.ratios);
      state.field(self.roots);
      state.require(is_tally(self.trials) && is_tally(self.successes) && is_tally(self.ratios) && is_tally(self.roots),
                    kNoTally);
    }
  };
  struct Entry {
    std::uint32_t name = 0;
    std::int64_t origin = 0;
    std::shared_ptr<const Signs> signs;
    Score all;
    std::map<std::int64_t, Score> by_goal;
    Surprise surprises;

    template <typename Self, typename State>
    static void describe(Self& self, State& state) {
      state.field(self.name);
      state.field(self.origin);
      state.field(self.signs);
      state.field(self.all);
      state.field(self.by_goal);
      state.field(self.surprises);
    }
  };
  struct Expected {
    double rate;
    double ratio;
    double root;
  };

  Outlook outlook(std::size_t entry, double root) const;
  /// What the two turns of a texture have in common, over all textures.
  double bond() const;
  Expected expect(const Entry& entry, std::int64_t goal) const;
  void forget_worst();
  void check_entries() const;

  std::uint64_t num_coordinates_;
  std::vector<Entry> entries_;  // by name: the textured starts first
  std::uint32_t next_name_ = 0;
  Score same_goal_;  // trials of perturbations for the goal they were found for
  Score other_goal_;
  Score prior_;  // of the starts that the caller's prior gave
  Gains gains_;
  double searches_ = 0.0;
  double windows_ = 0.0;
};

}  // namespace dfa
