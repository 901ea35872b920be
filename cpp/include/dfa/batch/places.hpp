#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <limits>
#include <string>
#include <utility>
#include <vector>

#include "dfa/batch/batch.hpp"
#include "dfa/batch/curriculum.hpp"
#include "dfa/search/looks.hpp"

namespace dfa {

/// Share of a search's best degree that is left, since half as many candidates, where it rests. A descent that rests
/// begins anew; a search that does is given up, so it is the one of which less is asked.
constexpr double kRestRatio = 0.9;

/// Where a search is forecast, the share of its best degree by which the next doubling of its candidates may lower it
/// more than the last one did.
constexpr double kQuickening = 0.15;

/// Places there may be: far above what memory holds of any image.
constexpr std::size_t kMostPlaces = std::size_t{1} << 20U;

/// What a search may spend.
struct Budget {
  std::uint64_t queries = 0;  ///< candidates that may be asked, per image
  std::uint64_t iterations = std::numeric_limits<std::uint64_t>::max() - 1U;  ///< beside the start
  /// Candidates from which on a search is given up where it rests, whichever of its descents its best degree is of; 0:
  /// never.
  std::uint32_t give_up_after = 0;
  /// Candidates that may be asked, by image; empty: `queries` for each.
  std::vector<std::uint64_t> queries_of{};
  /// The share of its budget within which a search must be seen to reach 0, going on as it did last, or is given up; 0:
  /// it is given up at rest only.
  double forecast = 0.0;
};

/// An answered candidate that was better than all before it: which one it was, from 1, and its degree.
struct Improvement {
  std::uint64_t query = 0;
  double degree = 0.0;

  template <typename Self, typename State>
  static void describe(Self& self, State& state) {
    state.field(self.query);
    state.field(self.degree);
  }
};

/// Places for active images, each with a search of a batch: fills oracle batches with their candidates and books what
/// is told of them. Several batches of rows may be under way, and are told in any order in which each place's rows keep
/// theirs; so the oldest can always be told.
class Places {
 public:
  /// Keeps references to `batch`, which holds the searches, and to `curriculum`, which hears what they teach; nullptr
  /// where images are independent.
  Places(Batch& batch, Curriculum* curriculum, std::size_t capacity, std::size_t batch_size, const Budget& budget);

  std::size_t capacity() const { return places_.size(); }
  bool is_taken(std::size_t place) const { return checked(place).is_taken; }

  /// Gives a free place to a search that has just begun. `image` and `goal` are handed back with every row; from
  /// `deadline` on, in the unit of tell()'s `now`, the search ends with its iteration.
  void admit(std::size_t place, std::size_t slot, std::int64_t image, std::int64_t goal, double deadline);
  /// Frees a place and removes its search from the batch.
  void dismiss(std::size_t place);

  /// Candidates that can be asked before anything more is told.
  std::size_t num_ready() const { return num_ready_; }
  /// Places, ascending, whose searches wait for a prior: none of their candidates can be proposed before it is given.
  std::vector<std::size_t> wanting_prior() const;
  /// Writes the image that the prior is wanted for.
  void write_best(std::size_t place, std::uint8_t* image) const { batch_.search(slot(place)).write_best(image); }
  void give_prior(std::size_t place, Signs signs) { batch_.give_prior(slot(place), std::move(signs)); }
  /// Chooses and writes as many candidates as there are, `most` at most, which is 1 to `batch_size`; the number of
  /// rows. Those that are behind go first, so a batch too small for all places starves none. After load(), what was
  /// under way comes again, batch by batch, in batches of the sizes that they had.
  std::size_t propose(std::uint8_t* images, std::size_t most);
  std::size_t propose(std::uint8_t* images) { return propose(images, batch_size_); }
  /// Batches that were under way when the state was saved, and have not been proposed again.
  std::size_t num_again() const { return again_.size(); }
  /// Image and goal of each row that propose() chose last.
  void describe_rows(std::int64_t* images, std::int64_t* goals) const;
  std::size_t num_proposed() const { return under_way_.empty() ? 0 : under_way_.back().rows.size(); }
  /// Rows of a batch under way, counted from the oldest, which is 0; 0 where there is none.
  std::size_t num_rows(std::size_t which = 0) const {
    return which < under_way_.size() ? under_way_[which].rows.size() : 0;
  }
  /// Whether a batch under way may be told: no row of an older one comes before one of its own in an iteration.
  bool may_be_told(std::size_t which) const;
  std::size_t batch_size() const { return batch_size_; }
  const ImageShape& shape() const { return batch_.shape(); }

  /// Writes a row of a batch under way once more, as propose() wrote it. Throws std::invalid_argument if there is no
  /// such row.
  void write_row(std::size_t row, std::uint8_t* image, std::size_t which = 0);
  /// Records a degree for each row of a batch under way, and adds `seconds` to its place. All candidates of an
  /// iteration are told, also after a hit (degree 0), before the next begins. Images of first hits are written anew and
  /// kept: what propose() wrote has been in others' hands. Returns the places, ascending, whose searches end here: by a
  /// hit, the budget, at rest or by their deadline. Throws std::logic_error if the batch may not be told yet.
  std::vector<std::size_t> tell(const double* degrees, double seconds, double now, std::size_t which = 0);

  /// The exact state of all places, their searches and the curriculum. Of what is under way it says which rows shared a
  /// batch: they are asked again by whoever loads it. Deadlines are kept as time left at `now`.
  std::string save(double now) const;
  /// Fills free places with what save() described, and has more of them where more were saved. Throws
  /// std::invalid_argument on other bytes; nothing changes then.
  void load(const std::string& bytes, double now);

  std::uint64_t iteration(std::size_t place) const { return checked(place).iteration; }
  std::size_t slot(std::size_t place) const { return checked(place).slot; }
  /// Queries sent in the iterations that are complete.
  std::uint64_t spent(std::size_t place) const { return checked(place).spent; }
  /// Candidates of the place that have been told.
  std::uint64_t answered(std::size_t place) const { return checked(place).spent + checked(place).told; }
  /// Whether its search is over because it came to rest.
  bool is_at_rest(std::size_t place) const { return checked(place).is_at_rest; }
  double seconds(std::size_t place) const { return checked(place).seconds; }
  /// Each answered candidate that was better than all before it.
  const std::vector<Improvement>& trace(std::size_t place) const { return checked(place).trace; }
  /// The image of the first candidate of degree 0; empty before there is one.
  const std::vector<std::uint8_t>& hit(std::size_t place) const { return checked(place).hit; }
  /// Its vector, where the space has a renderer; else empty.
  const std::vector<std::int16_t>& hit_vector(std::size_t place) const { return checked(place).hit_vector; }

 private:
  struct Place {
    bool is_taken = false;
    std::size_t slot = 0;
    std::int64_t image = 0;
    std::int64_t goal = 0;
    double deadline = 0.0;
    std::uint64_t tick = 0;  // of this iteration, by the curriculum's clock
    std::uint64_t iteration = 0;
    std::uint32_t size = 0;  // candidates of this iteration that the budget allows
    std::uint32_t asked = 0;
    std::uint32_t told = 0;
    std::uint64_t spent = 0;  // candidates of earlier iterations
    double best = 0.0;
    Looks looks;  // at it
    bool is_at_rest = false;
    double seconds = 0.0;
    std::vector<Improvement> trace;
    std::vector<std::uint8_t> hit;
    std::vector<std::int16_t> hit_vector;

    // Of a place that is taken. Its search is written beside it, and what was asked and not told is asked again.
    template <typename Self, typename State>
    static void describe(Self& self, State& state) {
      state.field(self.image);
      state.field(self.goal);
      state.field(self.deadline);
      state.field(self.tick);
      state.field(self.iteration);
      state.field(self.size);
      state.field(self.told);
      state.field(self.spent);
      state.field(self.best);
      state.field(self.looks);
      state.field(self.is_at_rest);
      state.require(self.looks.are_possible() && !(self.is_at_rest && self.size > 0), "a rest that cannot be");
      state.field(self.seconds);
      state.field(self.trace);
      state.field(self.hit);
      state.field(self.hit_vector);
    }
  };

  struct Hit {
    std::size_t place = 0;
    std::vector<std::uint8_t> image;
    std::vector<std::int16_t> vector;
  };

  struct UnderWay {
    std::vector<Row> rows;
    std::vector<std::uint64_t> places;  // of each row
  };

  void check(const Place& loaded, const Racos& search) const;
  static void check(const std::vector<Place>& loaded, const Curriculum& curriculum);
  void check_again(const std::vector<std::vector<std::uint64_t>>& again, const std::vector<Place>& loaded) const;
  /// The first hits of places that had none, among rows that are about to be told.
  std::vector<Hit> first_hits(const UnderWay& told, const double* degrees);
  UnderWay choose(std::size_t most);
  /// Books that an iteration is complete; whether the search ends with it.
  bool end_iteration(Place& place, double now);
  /// Whether it is known how many candidates may be asked for an image.
  bool is_budgeted(std::int64_t image) const;
  /// How many, for that of a place.
  std::uint64_t limit(const Place& place) const;
  /// The share of its last best degree above which a search is given up.
  double rest_ratio(const Place& place) const;
  const Place& checked(std::size_t place) const;
  Place& checked(std::size_t place) { return const_cast<Place&>(static_cast<const Places*>(this)->checked(place)); }

  Batch& batch_;
  Curriculum* curriculum_;
  std::size_t batch_size_;
  Budget budget_;
  std::vector<Place> places_;
  std::size_t num_ready_ = 0;
  std::uint64_t tick_ = 0;  // of the place that was furthest behind when rows were last chosen
  std::deque<UnderWay> under_way_;
  std::deque<std::vector<std::uint64_t>> again_;              // the place of each row, by batch
  std::vector<std::pair<std::uint64_t, std::size_t>> order_;  // of propose(): tick and place
};

}  // namespace dfa
