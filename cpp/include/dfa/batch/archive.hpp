#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "dfa/base/state.hpp"
#include "dfa/search/gains.hpp"
#include "dfa/space/perturbation.hpp"
#include "dfa/space/space.hpp"

namespace dfa {

/// A perturbation apart from the image it was found on: one bit per coordinate, set where it raises the pixel.
using Signs = std::vector<std::uint64_t>;

/// Words that the signs of so many coordinates take.
std::size_t num_words(std::size_t num_coordinates);
Signs signs_of(const DenseVector& vector);
/// The perturbation of another image that has the same signs, at the ends of that image's bounds.
DenseVector apply_signs(const Signs& signs, const Space& space);

/// A start of a search: one of the textured ones, or the signs of a perturbation that broke another image.
struct PlannedStart {
  std::uint32_t entry = 0;    ///< what the archive calls it
  std::uint32_t texture = 0;  ///< 0..kNumTexturedStarts-1, where there are no signs
  std::shared_ptr<const Signs> signs;
};

/// What a search is given of the images before it. Fixed when the search begins, and part of its state.
struct Plan {
  std::vector<PlannedStart> starts;
  Gains gains;
  double scale = 1.0;  ///< the clean image's degree, by which degrees of different images are compared
};

/// The plan of a search that knows of no other: the textured starts in their order.
Plan plan_alone(std::size_t num_starts);

/// What one search teaches the archive, from its first kLessonQueries candidates only, so that a search that goes on
/// does not keep others waiting.
struct Lesson {
  static constexpr std::uint64_t kLessonQueries = 200;

  struct Trial {
    std::uint32_t entry;
    double ratio;  ///< the start's degree over the clean image's; 0: it was adversarial
  };
  std::vector<Trial> trials;
  Gains gains;
  std::uint64_t num_windows = 0;       ///< candidates after the starts
  std::shared_ptr<const Signs> found;  ///< of the first adversarial candidate, unless that was a start
};

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

void save_gains(const Gains& gains, StateWriter& out);
Gains load_gains(StateReader& in);
void save_signs(const std::shared_ptr<const Signs>& signs, StateWriter& out);
std::shared_ptr<const Signs> load_signs(std::size_t num_coordinates, StateReader& in);
void save_lesson(const Lesson& lesson, StateWriter& out);
Lesson load_lesson(std::size_t num_coordinates, StateReader& in);

}  // namespace dfa
