#include "dfa/search/population.hpp"

#include <algorithm>
#include <cmath>
#include <stdexcept>
#include <utility>

namespace dfa {
namespace {

// Value of one member at the coordinates that another one edits, without a search per coordinate.
class Cursor {
 public:
  Cursor(const DenseVector& base, const Edits& edits) : base_(base), at_(edits.begin()), end_(edits.end()) {}
  // Coordinates must ascend from call to call.
  std::int32_t value(std::uint32_t coordinate) {
    while (at_ != end_ && at_->coordinate < coordinate) {
      ++at_;
    }
    return at_ != end_ && at_->coordinate == coordinate ? at_->value : base_[coordinate];
  }

 private:
  const DenseVector& base_;
  Edits::const_iterator at_;
  Edits::const_iterator end_;
};

}  // namespace

std::size_t Population::num_positives() const { return std::min<std::size_t>(config_.positives, members_.size()); }

bool Population::ranks_before(double degree_a, std::uint64_t birth_a, double degree_b, std::uint64_t birth_b) const {
  if (degree_a != degree_b) {
    return degree_a < degree_b;
  }
  return config_.ties == Ties::kOlder ? birth_a < birth_b : birth_a > birth_b;
}

Difference Population::difference(const Space& space, const Member& a, const Member& b) const {
  Difference result;
  result.birth_a = a.birth;
  result.birth_b = b.birth;
  if (a.family == b.family) {
    result.departures = departures(a.edits, b.edits);
    result.count = result.departures.size();
    result.is_listed = 4 * result.count < space.free_count();
    return result;
  }
  const DenseVector& base_a = family(a).base;
  const DenseVector& base_b = family(b).base;
  std::uint64_t count = base_difference(static_cast<std::size_t>(a.family), static_cast<std::size_t>(b.family));
  // The bases' count is right wherever neither member has an edit; correct it where one has.
  Cursor values_a(base_a, a.edits);
  Cursor values_b(base_b, b.edits);
  const auto correct = [&](std::uint32_t p) {
    count -= base_a[p] != base_b[p] ? 1U : 0U;
    count += values_a.value(p) != values_b.value(p) ? 1U : 0U;
  };
  auto i = a.edits.begin();
  auto j = b.edits.begin();
  while (i != a.edits.end() || j != b.edits.end()) {
    if (j == b.edits.end() || (i != a.edits.end() && i->coordinate < j->coordinate)) {
      correct((i++)->coordinate);
    } else if (i == a.edits.end() || j->coordinate < i->coordinate) {
      correct((j++)->coordinate);
    } else {
      correct((i++)->coordinate);
      ++j;
    }
  }
  result.count = count;
  result.is_listed = 4 * count < space.free_count();
  if (result.is_listed) {
    // Independent starts that agree on three quarters of the coordinates: only small or hand-made spaces get here.
    for (std::uint32_t f = 0; f < space.free_count(); ++f) {
      const std::uint32_t p = space.free_coordinate(f);
      const std::int32_t value_a = value(a, p);
      const std::int32_t value_b = value(b, p);
      if (value_a != value_b) {
        result.departures.push_back({p, static_cast<std::int16_t>(value_a), static_cast<std::int16_t>(value_b)});
      }
    }
  }
  return result;
}

void Population::merge(const Space& space, const std::vector<Arrival>& arrivals) {
  std::vector<Ranked>& order = order_;
  order.clear();
  for (std::size_t i = 0; i < members_.size(); ++i) {
    order.push_back({members_[i].degree, members_[i].birth, i});
  }
  for (std::size_t i = 0; i < arrivals.size(); ++i) {
    order.push_back({arrivals[i].degree, arrivals[i].birth, members_.size() + i});
  }
  std::sort(order.begin(), order.end(),
            [this](const Ranked& a, const Ranked& b) { return ranks_before(a.degree, a.birth, b.degree, b.birth); });
  order.resize(std::min<std::size_t>(order.size(), config_.population()));

  // A negative is never promoted later, so where no region reads negatives their vectors need not be kept.
  const bool keeps_negatives = config_.region != Region::kNone;
  // Where only the best member has a vector, that is the base itself, which then changes in place.
  const bool is_alone = config_.positives == 1 && !keeps_negatives;
  bool has_new_family = false;
  const Rectangle* repainted = nullptr;
  std::vector<Member>& next = next_;
  // Children copy from their parents, so parents move only after the last child is made.
  for (std::size_t rank = 0; rank < order.size(); ++rank) {
    const Ranked& ranked = order[rank];
    Member member;
    member.degree = ranked.degree;
    member.birth = ranked.birth;
    if (ranked.index >= members_.size() && (rank < config_.positives || keeps_negatives)) {
      const Arrival& arrival = arrivals[ranked.index - members_.size()];
      const bool is_rectangle = arrival.rectangle != nullptr;
      if (arrival.whole != nullptr && is_rectangle && is_alone && !families_.empty()) {
        member.family = 0;
        repainted = arrival.rectangle;
      } else if (arrival.whole != nullptr) {
        member.family = found_family(space, arrival);
        has_new_family = true;
      } else {
        const Member& parent = members_[arrival.parent];
        member.family = parent.family;
        if (!is_rectangle) {
          member.edits = overlay(parent.edits, *arrival.edits);
        } else if (is_alone) {
          repainted = arrival.rectangle;
        } else {
          member.edits = overlay(parent.edits, arrival.rectangle->edits(space, family(parent).base));
        }
      }
    }
    next.push_back(std::move(member));
  }
  for (std::size_t rank = 0; rank < order.size(); ++rank) {
    if (order[rank].index < members_.size() && (rank < config_.positives || keeps_negatives)) {
      Member& old = members_[order[rank].index];
      next[rank].family = old.family;
      next[rank].edits = std::move(old.edits);
    }
  }
  members_.swap(next);
  drop_empty_families();
  if (repainted != nullptr) {
    Family& own = families_.front();
    repainted->write(space, own.base, own.image.data());
  }
  if (has_new_family) {
    count_base_differences();
  }
  rebase();
  render_positives(space);
  next.clear();
}

std::int32_t Population::found_family(const Space& space, const Arrival& start) {
  Family& own = families_.emplace_back();
  if (start.rectangle == nullptr) {
    own.base = std::move(*start.whole);
  } else {
    own.base = DenseVector(space.size(), space.largest());
    own.image.resize(space.size());
    start.rectangle->write(space, own.base, own.image.data());
  }
  return static_cast<std::int32_t>(families_.size()) - 1;
}

void Population::restore(const Space& space) {
  for (const Family& each : families_) {
    each.base.check(space);
  }
  std::vector<std::uint64_t> births;
  for (std::size_t rank = 0; rank < members_.size(); ++rank) {
    Member& member = members_[rank];
    const bool has_vector = member.family != Member::kNoVector;
    if (has_vector && (member.family < 0 || static_cast<std::size_t>(member.family) >= families_.size())) {
      throw std::invalid_argument("saved state names a family that is not in it");
    }
    if (!has_vector && (rank < config_.positives || !member.edits.empty())) {
      throw std::invalid_argument("saved state lacks the vector of a positive");
    }
    if (!has_vector && config_.region != Region::kNone) {
      throw std::invalid_argument("saved state lacks the vector of a negative that a region reads");
    }
    if (std::isnan(member.degree)) {
      throw std::invalid_argument("saved state holds a degree that is not a number");
    }
    if (rank > 0 && !ranks_before(members_[rank - 1].degree, members_[rank - 1].birth, member.degree, member.birth)) {
      throw std::invalid_argument("saved state holds members out of order");
    }
    births.push_back(member.birth);
    check(member.edits, space);
    for (Edit& edit : member.edits) {
      edit.base_value = static_cast<std::int16_t>(family(member).base[edit.coordinate]);
      edit.pixel = space.pixel(edit.coordinate, edit.value);
      edit.base_pixel = space.pixel(edit.coordinate, edit.base_value);
    }
  }
  std::sort(births.begin(), births.end());
  if (std::adjacent_find(births.begin(), births.end()) != births.end()) {
    throw std::invalid_argument("saved state holds two members of one birth");
  }
  drop_empty_families();
  count_base_differences();
  rebase();
  render_positives(space);
}

void Population::drop_empty_families() {
  if (families_.size() == 1 && !members_.empty()) {
    return;  // the best member always has a vector
  }
  std::vector<std::int32_t> renamed(families_.size(), Member::kNoVector);
  std::vector<std::size_t> kept;
  for (Member& member : members_) {
    if (member.family == Member::kNoVector) {
      continue;
    }
    std::int32_t& name = renamed[static_cast<std::size_t>(member.family)];
    if (name == Member::kNoVector) {
      name = static_cast<std::int32_t>(kept.size());
      kept.push_back(static_cast<std::size_t>(member.family));
    }
    member.family = name;
  }
  const bool is_unchanged = kept.size() == families_.size() && std::is_sorted(kept.begin(), kept.end());
  if (is_unchanged) {
    return;
  }
  std::vector<Family> families;
  families.reserve(kept.size());
  for (const std::size_t f : kept) {
    families.push_back(std::move(families_[f]));
  }
  if (base_differences_.size() == families_.size()) {
    std::vector<std::vector<std::uint64_t>> counts(kept.size());
    for (std::size_t f = 0; f < kept.size(); ++f) {
      for (const std::size_t g : kept) {
        counts[f].push_back(base_differences_[kept[f]][g]);
      }
    }
    base_differences_ = std::move(counts);
  }
  families_ = std::move(families);
}

std::uint64_t Population::base_difference(std::size_t f, std::size_t g) const {
  if (base_differences_.empty()) {
    return families_[f].base.count_differences(families_[g].base);
  }
  return base_differences_[f][g];
}

void Population::count_base_differences() {
  if (config_.region != Region::kOrdered) {
    return;
  }
  base_differences_.assign(families_.size(), std::vector<std::uint64_t>(families_.size(), 0));
  for (std::size_t f = 0; f < families_.size(); ++f) {
    for (std::size_t g = 0; g < f; ++g) {
      const std::uint64_t count = families_[f].base.count_differences(families_[g].base);
      base_differences_[f][g] = count;
      base_differences_[g][f] = count;
    }
  }
}

void Population::rebase() {
  has_best_.assign(families_.size(), 0);
  for (Member& member : members_) {
    if (member.family == Member::kNoVector) {
      continue;
    }
    const auto f = static_cast<std::size_t>(member.family);
    if (has_best_[f] == 0) {
      has_best_[f] = 1;
      rebase_family(f, member);
    }
  }
}

void Population::rebase_family(std::size_t f, Member& best) {
  if (best.edits.empty()) {
    return;
  }
  DenseVector& base = families_[f].base;
  const Edits moved = std::exchange(best.edits, {});
  for (Member& member : members_) {
    if (&member != &best && member.family == best.family) {
      member.edits = rebased(member.edits, moved);
    }
  }
  if (!base_differences_.empty()) {
    for (std::size_t g = 0; g < families_.size(); ++g) {
      if (g == f) {
        continue;
      }
      std::uint64_t count = base_differences_[f][g];
      for (const Edit& move : moved) {
        const std::int32_t other = families_[g].base[move.coordinate];
        count -= move.base_value != other ? 1U : 0U;
        count += move.value != other ? 1U : 0U;
      }
      base_differences_[f][g] = count;
      base_differences_[g][f] = count;
    }
  }
  std::vector<std::uint8_t>& image = families_[f].image;
  for (const Edit& move : moved) {
    base.set(move.coordinate, move.value);
    if (!image.empty()) {
      image[move.coordinate] = move.pixel;
    }
  }
}

void Population::render_positives(const Space& space) {
  if (space.box() != nullptr) {
    return;  // a candidate's image is no edit of its parent's
  }
  for (std::size_t rank = 0; rank < num_positives(); ++rank) {
    Family& own = families_[static_cast<std::size_t>(members_[rank].family)];
    if (own.image.empty()) {
      own.image.resize(space.size());
      own.base.render(space, own.image.data());
    }
  }
}

}  // namespace dfa
