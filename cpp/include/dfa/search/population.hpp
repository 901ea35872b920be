#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "dfa/search/config.hpp"
#include "dfa/search/rectangle.hpp"
#include "dfa/space/perturbation.hpp"
#include "dfa/space/space.hpp"

namespace dfa {

/// Members that descend from the same start share one dense vector, the family's base, and differ from it in edits.
/// The base always equals the family's best member, so a member costs memory and time in proportion to its distance
/// from that best one and never to the size of the image.
struct Family {
  DenseVector base;
  std::vector<std::uint8_t> image;  ///< the rendered base, once a positive has belonged to it or a rectangle was it

  // The image follows from the base.
  template <typename Self, typename State>
  static void describe(Self& self, State& state) {
    state.field(self.base);
  }
};

struct Member {
  double degree = 0.0;
  std::uint64_t birth = 0;          ///< running number of the candidate, the older the smaller
  std::int32_t family = kNoVector;  ///< index of its family, or kNoVector
  Edits edits;

  /// A negative that no region will read keeps its degree and its place, not its vector.
  static constexpr std::int32_t kNoVector = -1;

  template <typename Self, typename State>
  static void describe(Self& self, State& state) {
    state.field(self.degree);
    state.field(self.birth);
    state.field(self.family);
    state.field(self.edits);
  }
};

/// Where two members, a and b, differ, as the region needs it.
struct Difference {
  std::uint64_t birth_a = 0;  ///< births name vectors for good
  std::uint64_t birth_b = 0;
  std::uint64_t count = 0;
  bool is_listed = false;             ///< false: so many that drawing a coordinate at random finds one soon
  std::vector<Departure> departures;  ///< ascending, when listed; value_a is a's
};

/// A candidate that joins: a start, which is a whole vector, which is taken, or the rectangle that stands for one; or
/// its parent's rank and what changes of it, which is sorted edits or a rectangle.
struct Arrival {
  double degree;
  std::uint64_t birth;
  DenseVector* whole;  ///< of a start, empty if a rectangle stands for it; else null
  std::size_t parent;
  const Edits* edits;
  const Rectangle* rectangle = nullptr;
};

/// The best s + k evaluated candidates of one image, sorted by degree, then age (paper, Algorithm 1, lines 9, 10, 21).
class Population {
 public:
  explicit Population(const Config& config) : config_(config) {}

  std::size_t size() const { return members_.size(); }
  const Member& operator[](std::size_t rank) const { return members_[rank]; }
  std::size_t num_positives() const;
  const Family& family(std::size_t index) const { return families_[index]; }
  const Family& family(const Member& member) const { return families_[static_cast<std::size_t>(member.family)]; }
  std::size_t num_families() const { return families_.size(); }

  std::int32_t value(const Member& member, std::uint32_t coordinate) const {
    return value_at(family(member).base, member.edits, coordinate);
  }
  Difference difference(const Space& space, const Member& a, const Member& b) const;

  /// Keeps the best s + k of members and arrivals.
  void merge(const Space& space, const std::vector<Arrival>& arrivals);

  template <typename Self, typename State>
  static void describe(Self& self, State& state) {
    state.field(self.families_);
    state.field(self.members_);
  }
  /// Makes a population of what has been read. Throws std::invalid_argument where that contradicts itself or the space.
  void restore(const Space& space);

 private:
  struct Ranked {
    double degree;
    std::uint64_t birth;
    std::size_t index;  // a member's, or members_.size() + an arrival's
  };

  bool ranks_before(double degree_a, std::uint64_t birth_a, double degree_b, std::uint64_t birth_b) const;
  std::int32_t found_family(const Space& space, const Arrival& start);
  void drop_empty_families();
  void rebase();
  void rebase_family(std::size_t family, Member& best);
  void render_positives(const Space& space);
  void count_base_differences();
  std::uint64_t base_difference(std::size_t f, std::size_t g) const;

  Config config_;
  std::vector<Member> members_;
  std::vector<Family> families_;
  // What merge() needs, kept for its memory: searches of small images spend their time in such blocks.
  std::vector<Ranked> order_;
  std::vector<Member> next_;
  std::vector<std::uint8_t> has_best_;
  // [f][g]: number of coordinates at which the bases of two families differ, kept up to date by rebasing. Empty where
  // no region asks for it in every iteration.
  std::vector<std::vector<std::uint64_t>> base_differences_;
};

}  // namespace dfa
