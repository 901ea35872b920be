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
/// Who may learn from whom is the caller's to say: a plan depends on the lessons before it, in their order.
class Archive {
 public:
  explicit Archive(std::size_t num_coordinates);

  Plan plan(std::int64_t goal, double scale) const;
  void learn(std::int64_t goal, const Lesson& lesson);
  /// Number of perturbations kept.
  std::size_t size() const { return entries_.size() - kNumTexturedStarts; }

  /// The exact state, as bytes, and back. Throws std::invalid_argument for bytes it cannot use.
  std::string save() const;
  static Archive load(const std::string& bytes);

 private:
  struct Score {
    double trials = 0.0;
    double successes = 0.0;
    double ratios = 0.0;

    void add(double ratio);
  };
  struct Entry {
    std::uint32_t name = 0;
    std::int64_t origin = 0;
    std::shared_ptr<const Signs> signs;
    Score all;
    std::map<std::int64_t, Score> by_goal;
  };
  struct Expected {
    double rate;
    double ratio;
  };

  Expected expect(const Entry& entry, std::int64_t goal) const;
  void forget_worst();

  std::size_t num_coordinates_;
  std::vector<Entry> entries_;  // the textured starts first
  std::uint32_t next_name_ = 0;
  Score same_goal_;  // trials of perturbations for the goal they were found for
  Score other_goal_;
  Gains gains_;
  double searches_ = 0.0;
  double windows_ = 0.0;
};

}  // namespace dfa
