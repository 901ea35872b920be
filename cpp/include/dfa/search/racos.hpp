#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "dfa/search/config.hpp"
#include "dfa/search/coverage.hpp"
#include "dfa/search/descent.hpp"
#include "dfa/search/differences.hpp"
#include "dfa/search/lesson.hpp"
#include "dfa/search/merger.hpp"
#include "dfa/search/opening.hpp"
#include "dfa/search/pace.hpp"
#include "dfa/search/plan.hpp"
#include "dfa/search/population.hpp"
#include "dfa/search/proposal.hpp"
#include "dfa/search/ray_walk.hpp"
#include "dfa/space/space.hpp"

namespace dfa {

class StateReader;
class StateWriter;

/// The search on one image: Algorithm 1 of the paper as ask and tell.
///
/// An iteration is a fixed set of candidates, 0..iteration_size()-1. They may be drawn in any order, more than once and
/// by several threads at a time; the population changes only in advance(), when all of them have been told.
class Racos {
 public:
  Racos(const Config& config, const ImageShape& shape, Space space, std::uint64_t seed, std::uint32_t image_id);
  /// A search that begins with what an archive planned for it.
  Racos(const Config& config, const ImageShape& shape, Space space, std::uint64_t seed, std::uint32_t image_id,
        Plan plan);

  std::uint32_t iteration() const { return iteration_; }
  std::uint32_t iteration_size() const { return static_cast<std::uint32_t>(candidates_.size()); }
  std::uint32_t image_id() const { return image_id_; }
  const Population& population() const { return population_; }
  const Space& space() const { return space_; }
  /// The vector of a candidate that was asked, where the space has a renderer; empty for a ball, whose images tell it.
  std::vector<std::int16_t> vector(std::uint32_t candidate);
  /// Where the windows of the present descent have lain.
  const Coverage& coverage() const { return coverage_; }
  /// What the search has taught since take_lesson(); nothing new after Lesson::kCandidates candidates.
  const Lesson& lesson() const { return lesson_; }
  /// Hands it over.
  Lesson take_lesson() { return std::exchange(lesson_, Lesson()); }

  /// Whether the windows of this iteration wait for the signs that a prior gives for the best member.
  bool wants_prior() const;
  /// Writes the best member's image.
  void write_best(std::uint8_t* image) const;
  /// Takes a prior's signs. Throws std::logic_error unless they are wanted, std::invalid_argument if they are of
  /// another shape.
  void give_prior(Signs signs);

  /// Marks a candidate as being asked by one row; false if another row already holds it. Not thread-safe.
  bool claim(std::uint32_t candidate);
  void release(std::uint32_t candidate) { candidates_[candidate].is_claimed = false; }
  /// Draws a candidate and writes its image. Safe to call concurrently for different candidates.
  void ask(std::uint32_t candidate, Scratch& scratch, std::uint8_t* image);
  /// Records a candidate's degree. Throws std::logic_error unless it was asked and has not been told.
  void tell(std::uint32_t candidate, double degree);
  /// Takes back what tell() recorded.
  void retract(std::uint32_t candidate);
  bool is_told(std::uint32_t candidate) const { return candidates_[candidate].is_told; }
  bool is_complete() const { return num_told_ == candidates_.size(); }
  /// Ranks, selects and starts the next iteration. Throws std::logic_error unless the iteration is complete.
  void advance(Scratch& scratch);

  /// The exact state, as bytes. Candidates asked but not told are not part of it: asked again they are the same.
  std::string save() const;
  /// The search that save() described. Throws std::invalid_argument for bytes that are damaged, of another version or
  /// of another configuration.
  static Racos load(const Config& config, const ImageShape& shape, const std::string& bytes);
  /// The same as a part of a larger state.
  void write(StateWriter& out) const;
  static Racos read(const Config& config, const ImageShape& shape, StateReader& in);

  template <typename Self, typename State>
  static void describe(Self& self, State& state) {
    state.given("configuration", self.config_);
    state.given("image shape", self.shape_);
    state.field(self.seed_);
    state.field(self.image_id_);
    state.field(self.iteration_);
    state.field(self.first_birth_);
    state.part("space", self.space_);
    state.part("plan", self.plan_);
    state.part("gains", self.gains_);
    state.part("opening", self.opening_);
    state.part("lesson", self.lesson_);
    state.field(self.has_taught_hit_);
    state.part("descent", self.descent_);
    state.part("pace", self.pace_);
    state.part("coverage", self.coverage_);
    state.part("population", self.population_);
    state.part("merger", self.merger_);
    state.part("prior", self.prior_);
    state.part("walk", self.walk_);
    state.part("answers", self.candidates_);
    if constexpr (State::kReads) {
      self.restore();
    }
  }

 private:
  /// What the caller said of a member of the population.
  struct Prior {
    Signs signs;  // empty: nothing yet
    std::uint64_t birth = 0;

    template <typename Self, typename State>
    static void describe(Self& self, State& state) {
      state.field(self.signs);
      state.field(self.birth);
    }
  };

  /// One to be read from a state.
  Racos(const Config& config, const ImageShape& shape);

  struct Candidate {
    Proposal proposal;
    DenseVector whole;  // of a start, where no rectangle stands for it
    double degree = 0.0;
    bool is_claimed = false;
    bool is_drawn = false;
    bool is_told = false;
    bool has_improved = false;  // on its parent

    // Drawn again, the rest is the same.
    template <typename Self, typename State>
    static void describe(Self& self, State& state) {
      state.field(self.is_told);
      state.field(self.degree);
    }
  };

  bool is_start(std::uint32_t candidate) const {
    return first_birth() + candidate < descent_.first_birth() + num_starts();
  }
  /// Whether a candidate lies on a ray: it is neither compared with others nor kept among them.
  bool is_on_ray(std::uint32_t candidate) const { return config_.shape == Shape::kRay && !is_start(candidate); }
  RayContext ray_context() const { return {shape_, space_, plan_}; }
  /// Takes the answer about the one candidate of an iteration that lies on a ray.
  void advance_on_ray();
  /// The first candidate of an iteration is what the last one's merger holds, if anything.
  bool is_merger(std::uint32_t candidate) const { return candidate == 0 && !merger_.is_empty(); }
  /// Candidates with which the present descent begins, as far as they have been asked.
  std::uint64_t num_starts() const;
  /// Candidates after those, told in the iterations before this one.
  std::uint64_t num_answered() const;
  void draw(std::uint32_t candidate, Scratch& scratch);
  void draw_if_loaded(std::uint32_t candidate, Scratch& scratch);
  void draw_start_candidate(std::uint64_t birth, Stream& stream, Candidate& candidate);
  void learn_from_candidates(Scratch& scratch);
  void learn_from_window(const Candidate& candidate);
  void learn_from_hit(std::uint64_t first_birth_of_iteration);
  /// Whether this iteration is part of what the search teaches others.
  bool is_teaching() const;
  /// Called with the best member in place, and the candidates that brought it still there.
  void merge_improvements(std::uint64_t first_birth_of_iteration, const std::vector<Proposal>& turned);
  /// Plain windows of this iteration that hurt, turned over, where that is likely to help.
  std::vector<Proposal> turned_windows() const;
  void restart_if_at_rest();
  void render(std::uint32_t candidate, Scratch& scratch, std::uint8_t* image);
  void assemble(Candidate& candidate, std::vector<std::int16_t>& x) const;
  void begin_iteration();
  void check_plan() const;
  /// Throws std::invalid_argument where what has been read is no search.
  void restore();
  void restore_answers();
  /// Candidates told in earlier iterations.
  std::uint64_t first_birth() const { return first_birth_; }
  std::uint32_t next_size() const;
  void choose_starts();
  void answer_starts(bool is_lesson);
  /// Whether the windows of this iteration are drawn when it begins: each keeps away from those before it.
  bool proposes_ahead() const { return config_.improvements != 0.0 && !is_start(0) && !is_on_ray(0); }
  void propose_all();
  void propose(std::uint32_t candidate, const Coverage& coverage, Scratch& scratch);

  Config config_;
  ImageShape shape_;
  Space space_;
  std::uint64_t seed_ = 0;
  std::uint32_t image_id_ = 0;
  std::uint32_t iteration_ = 0;
  std::uint64_t first_birth_ = 0;
  Plan plan_;
  Opening opening_;
  Gains gains_;
  Coverage coverage_;  // of this descent
  Lesson lesson_;
  bool has_taught_hit_ = false;
  Population population_;
  Merger merger_;
  RayWalk walk_;
  Descent descent_;
  Pace pace_;
  Prior prior_;
  Differences differences_;
  std::uint32_t window_side_ = 0;
  std::vector<Candidate> candidates_;
  std::size_t num_told_ = 0;
};

}  // namespace dfa
