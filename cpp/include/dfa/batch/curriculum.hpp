#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <utility>

#include "dfa/batch/archive.hpp"
#include "dfa/search/lesson.hpp"

namespace dfa {

/// Who learns from whom, told by a clock that does not depend on the machine.
///
/// In a tick of the clock every active image makes one iteration. What its candidates taught is learned at the end of
/// that tick, in the order of the images, and an image that begins at a tick knows all that was learned before it.
/// Searches may be carried out in any order and run ahead of the clock: what they report waits for its tick.
///
/// Images begin in their order, while few of those before them are still new: at most 4, or the square root or an
/// eighth of the number of those that are not, whichever is most. So the first teach the many, and one that takes
/// long keeps nobody waiting.
class Curriculum {
 public:
  /// For vectors of so many integers.
  explicit Curriculum(std::size_t num_coordinates);

  /// How many images of so many coordinates may be active at a time: fewer of large ones, so that all fit into memory.
  static std::size_t capacity(std::size_t num_coordinates);
  std::uint64_t now() const { return now_; }
  /// Whether the next image may begin at this tick.
  bool has_room() const;
  /// What an image knows that begins at this tick; `scale` is the degree of the clean image, above 0.
  Plan plan(std::int64_t goal, double scale, std::shared_ptr<const Signs> prior = nullptr) const {
    return archive_.plan(goal, scale, std::move(prior));
  }
  /// Lets an image take part from this tick on. Throws std::logic_error if it does already.
  void begin(std::int64_t image);
  /// Takes what the next iteration of an image taught, and how many candidates of it have been told in all. Throws
  /// std::logic_error if the image takes no part, or its search was reported to be over.
  void report(std::int64_t image, std::int64_t goal, Lesson lesson, std::uint64_t told, bool is_over);
  /// Whether a report of an image on a tick is what comes next.
  bool awaits(std::int64_t image, std::uint64_t tick) const;
  /// Images whose searches go on.
  std::size_t num_awaited() const;
  /// Ends the tick if every active image has made its iteration; whether it has ended. Ticks end one by one, since
  /// images may begin in each of them.
  bool advance();

  template <typename Self, typename State>
  static void describe(Self& self, State& state) {
    state.given("number of coordinates", self.num_coordinates_);
    state.part("archive", self.archive_);
    state.field(self.now_);
    state.field(self.num_learned_);
    state.field(self.active_);
    state.field(self.reports_);
    if constexpr (State::kReads) {
      self.restore();
    }
  }

 private:
  struct Active {
    std::uint64_t next = 0;  // the tick that it reports on next
    bool is_new = true;
    bool is_over = false;

    template <typename Self, typename State>
    static void describe(Self& self, State& state) {
      state.field(self.next);
      state.field(self.is_new);
      state.field(self.is_over);
    }
  };
  struct Report {
    std::int64_t goal = 0;
    Lesson lesson;
    bool ends_being_new = false;
    bool is_over = false;

    template <typename Self, typename State>
    static void describe(Self& self, State& state) {
      state.field(self.goal);
      state.field(self.lesson);
      state.field(self.ends_being_new);
      state.field(self.is_over);
    }
  };

  void restore();

  std::uint64_t num_coordinates_;
  Archive archive_;
  std::uint64_t now_ = 0;
  std::uint64_t num_new_ = 0;
  std::uint64_t num_learned_ = 0;
  std::map<std::int64_t, Active> active_;
  std::map<std::uint64_t, std::map<std::int64_t, Report>> reports_;  // of this tick and later ones
};

}  // namespace dfa
