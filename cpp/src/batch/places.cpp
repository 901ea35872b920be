#include "dfa/batch/places.hpp"

#include <algorithm>
#include <cmath>
#include <stdexcept>
#include <string>
#include <utility>

#include "dfa/base/state.hpp"

namespace dfa {
namespace {

constexpr const char* kState = "places";

}  // namespace

Places::Places(Batch& batch, Curriculum* curriculum, std::size_t capacity, std::size_t batch_size, const Budget& budget)
    : batch_(batch), curriculum_(curriculum), batch_size_(batch_size), budget_(budget), places_(capacity) {
  if (capacity < 1 || batch_size < 1) {
    throw std::invalid_argument("capacity and batch_size must be at least 1, got " + std::to_string(capacity) +
                                " and " + std::to_string(batch_size));
  }
  std::uint64_t least = budget.queries;
  for (const std::uint64_t queries : budget.queries_of) {
    least = std::min(least, queries);
  }
  if (least < batch.config().population()) {
    throw std::invalid_argument("the start alone needs " + std::to_string(batch.config().population()) +
                                " queries, the limit is " + std::to_string(least));
  }
}

const Places::Place& Places::checked(std::size_t place) const {
  if (place >= places_.size()) {
    throw std::invalid_argument("there are " + std::to_string(places_.size()) + " places, got place " +
                                std::to_string(place));
  }
  return places_[place];
}

void Places::admit(std::size_t place, std::size_t slot, std::int64_t image, std::int64_t goal, double deadline) {
  if (checked(place).is_taken) {
    throw std::logic_error("place " + std::to_string(place) + " is taken");
  }
  if (!is_budgeted(image)) {
    throw std::invalid_argument("there are budgets of " + std::to_string(budget_.queries_of.size()) +
                                " images, got image " + std::to_string(image));
  }
  const Racos& search = batch_.search(slot);
  if (search.iteration() != 0) {
    throw std::logic_error("the search of slot " + std::to_string(slot) + " is under way already");
  }
  if (curriculum_ != nullptr) {
    curriculum_->begin(image);
  }
  Place fresh;
  fresh.is_taken = true;
  fresh.slot = slot;
  fresh.image = image;
  fresh.goal = goal;
  fresh.deadline = deadline;
  fresh.tick = curriculum_ != nullptr ? curriculum_->now() : tick_;
  fresh.size = search.iteration_size();
  fresh.best = std::numeric_limits<double>::infinity();
  num_ready_ += fresh.size;
  places_[place] = std::move(fresh);
}

void Places::dismiss(std::size_t place) {
  if (!checked(place).is_taken) {
    throw std::logic_error("place " + std::to_string(place) + " is free");
  }
  if (places_[place].asked != places_[place].told) {
    throw std::logic_error("place " + std::to_string(place) + " has rows under way");
  }
  batch_.remove(places_[place].slot);
  num_ready_ -= places_[place].size - places_[place].asked;
  places_[place] = Place();
}

std::vector<std::size_t> Places::wanting_prior() const {
  std::vector<std::size_t> wanting;
  for (std::size_t which = 0; which < places_.size(); ++which) {
    // Where a search has ended, its place has no candidates left.
    if (places_[which].size > 0 && batch_.search(places_[which].slot).wants_prior()) {
      wanting.push_back(which);
    }
  }
  return wanting;
}

Places::UnderWay Places::choose(std::size_t most) {
  UnderWay chosen;
  const auto add = [&](std::uint64_t which) {
    Place& place = places_[which];
    chosen.rows.push_back({place.slot, place.asked++});
    chosen.places.push_back(which);
    --num_ready_;
  };
  if (!again_.empty()) {
    for (const std::uint64_t which : again_.front()) {
      add(which);
    }
    again_.pop_front();
    return chosen;
  }
  order_.clear();
  for (std::size_t which = 0; which < places_.size(); ++which) {
    if (places_[which].asked < places_[which].size) {
      order_.emplace_back(places_[which].tick, which);
    }
  }
  const auto num_first = static_cast<std::ptrdiff_t>(std::min(order_.size(), most));
  std::partial_sort(order_.begin(), order_.begin() + num_first, order_.end());
  for (auto next = order_.begin(); next != order_.end() && chosen.rows.size() < most; ++next) {
    while (places_[next->second].asked < places_[next->second].size && chosen.rows.size() < most) {
      add(next->second);
    }
  }
  if (!order_.empty()) {
    tick_ = order_.front().first;
  }
  return chosen;
}

std::size_t Places::propose(std::uint8_t* images, std::size_t most) {
  if (most < 1 || most > batch_size_) {
    throw std::invalid_argument("a batch holds 1 to " + std::to_string(batch_size_) + " rows, got " +
                                std::to_string(most));
  }
  UnderWay chosen = choose(most);
  if (chosen.rows.empty()) {
    return 0;
  }
  batch_.ask(chosen.rows, images);
  under_way_.push_back(std::move(chosen));
  return num_proposed();
}

void Places::describe_rows(std::int64_t* images, std::int64_t* goals) const {
  for (std::size_t row = 0; row < num_proposed(); ++row) {
    const Place& place = places_[under_way_.back().places[row]];
    images[row] = place.image;
    goals[row] = place.goal;
  }
}

bool Places::may_be_told(std::size_t which) const {
  if (which >= under_way_.size()) {
    return false;
  }
  // Rows of a place are together, in their order, so its first tells of all.
  const UnderWay& batch = under_way_[which];
  for (std::size_t row = 0; row < batch.rows.size(); ++row) {
    const bool is_first = row == 0 || batch.places[row] != batch.places[row - 1];
    if (is_first && batch.rows[row].candidate != places_[batch.places[row]].told) {
      return false;
    }
  }
  return true;
}

void Places::write_row(std::size_t row, std::uint8_t* image, std::size_t which) {
  if (row >= num_rows(which)) {
    throw std::invalid_argument("row must be one of " + std::to_string(num_rows(which)) + " that are to be told, got " +
                                std::to_string(row));
  }
  batch_.ask({under_way_[which].rows[row]}, image);
}

std::vector<Places::Hit> Places::first_hits(const UnderWay& told, const double* degrees) {
  std::vector<Hit> hits;
  for (std::size_t row = 0; row < told.rows.size(); ++row) {
    const std::size_t place = told.places[row];
    const auto is_same = [place](const Hit& hit) { return hit.place == place; };
    if (degrees[row] != 0.0 || !places_[place].hit.empty() || std::any_of(hits.begin(), hits.end(), is_same)) {
      continue;
    }
    Hit hit{place, std::vector<std::uint8_t>(shape().size()), batch_.vector(told.rows[row])};
    batch_.ask({told.rows[row]}, hit.image.data());
    hits.push_back(std::move(hit));
  }
  return hits;
}

std::vector<std::size_t> Places::tell(const double* degrees, double seconds, double now, std::size_t which) {
  if (under_way_.empty()) {
    return {};
  }
  if (!may_be_told(which)) {
    throw std::logic_error("batch " + std::to_string(which) + " of " + std::to_string(under_way_.size()) +
                           " under way may not be told yet");
  }
  const UnderWay& told = under_way_[which];
  // Telling may end the iteration, and with it the candidates.
  std::vector<Hit> hits = first_hits(told, degrees);
  batch_.tell(told.rows, degrees);
  for (Hit& hit : hits) {
    places_[hit.place].hit = std::move(hit.image);
    places_[hit.place].hit_vector = std::move(hit.vector);
  }
  std::vector<std::size_t> finished;
  for (std::size_t row = 0; row < told.rows.size(); ++row) {
    Place& place = places_[told.places[row]];
    // Rows of a place are in candidate order, so this is the order in which its images are counted as asked.
    if (degrees[row] < place.best) {
      place.best = degrees[row];
      place.trace.push_back({place.spent + told.rows[row].candidate + 1, degrees[row]});
    }
    place.seconds += seconds;
    if (++place.told == place.size && end_iteration(place, now)) {
      finished.push_back(told.places[row]);
    }
  }
  std::sort(finished.begin(), finished.end());
  under_way_.erase(under_way_.begin() + static_cast<std::ptrdiff_t>(which));
  return finished;
}

bool Places::is_budgeted(std::int64_t image) const {
  // As unsigned what is below 0 is beyond them all.
  return budget_.queries_of.empty() || static_cast<std::uint64_t>(image) < budget_.queries_of.size();
}

std::uint64_t Places::limit(const Place& place) const {
  return budget_.queries_of.empty() ? budget_.queries : budget_.queries_of[static_cast<std::size_t>(place.image)];
}

double Places::rest_ratio(const Place& place) const {
  if (budget_.forecast <= 0.0) {
    return kRestRatio;
  }
  // How often the candidates can double, and once more. Each time the degree falls by what it fell the last time, and
  // by a share of what is left: it reaches 0 where it is no more than this share of what it was.
  const double most = budget_.forecast * static_cast<double>(limit(place));
  const double doublings = std::max(0.0, std::log2(2.0 * most / static_cast<double>(place.spent)));
  return doublings / (1.0 + doublings * (1.0 - kQuickening));
}

bool Places::end_iteration(Place& place, double now) {
  place.spent += place.size;
  place.asked = place.told = 0;
  const bool has_ended = !place.hit.empty() || place.spent >= limit(place) || place.iteration >= budget_.iterations;
  place.is_at_rest =
      !has_ended && place.looks.find_rest(budget_.give_up_after, rest_ratio(place), place.spent, place.best);
  const bool is_over = has_ended || place.is_at_rest || now >= place.deadline;
  if (curriculum_ != nullptr) {
    curriculum_->report(place.image, place.goal, batch_.take_lesson(place.slot), place.spent, is_over);
  }
  if (is_over) {
    place.size = 0;
    return true;
  }
  ++place.tick;
  ++place.iteration;
  const std::uint64_t next = batch_.search(place.slot).iteration_size();
  place.size = static_cast<std::uint32_t>(std::min(next, limit(place) - place.spent));
  num_ready_ += place.size;
  return false;
}

std::string Places::save(double now) const {
  StateWriter out;
  out.field(std::uint64_t{places_.size()});
  out.field(tick_);
  out.field(curriculum_ != nullptr);
  if (curriculum_ != nullptr) {
    out.part("curriculum", *curriculum_);
  }
  std::vector<std::vector<std::uint64_t>> again;
  for (const UnderWay& each : under_way_) {
    again.push_back(each.places);
  }
  again.insert(again.end(), again_.begin(), again_.end());
  out.field(again);
  for (const Place& place : places_) {
    out.field(place.is_taken);
    if (place.is_taken) {
      Place kept = place;
      kept.deadline -= now;
      out.part("place", kept);
      batch_.search(place.slot).write(out);
    }
  }
  return seal_state(kState, out);
}

void Places::load(const std::string& bytes, double now) {
  StateReader in = open_state(kState, bytes);
  std::uint64_t capacity = 0;
  std::uint64_t tick = 0;
  bool has_curriculum = false;
  in.field(capacity);
  in.field(tick);
  in.field(has_curriculum);
  if (capacity > kMostPlaces) {
    throw std::invalid_argument("saved state is of " + std::to_string(capacity) + " places, which are too many");
  }
  if (has_curriculum != (curriculum_ != nullptr)) {
    throw std::invalid_argument("saved places and these differ in whether images learn from one another");
  }
  if (std::any_of(places_.begin(), places_.end(), [](const Place& place) { return place.is_taken; })) {
    throw std::logic_error("saved places need free ones");
  }
  Curriculum curriculum(shape().size());
  if (has_curriculum) {
    in.part("curriculum", curriculum);
  }
  std::vector<std::vector<std::uint64_t>> again;
  in.field(again);
  std::vector<Place> loaded(std::max(static_cast<std::size_t>(capacity), places_.size()));
  std::vector<std::pair<std::size_t, Racos>> searches;
  for (std::size_t i = 0; i < capacity; ++i) {
    Place& place = loaded[i];
    in.field(place.is_taken);
    if (place.is_taken) {
      in.part("place", place);
      place.deadline += now;
      // Candidates are chosen in order and told together, so what was told is what comes before the next one.
      place.asked = place.told;
      searches.emplace_back(i, Racos::read(batch_.config(), batch_.shape(), in));
      check(place, searches.back().second);
    }
  }
  in.finish();
  check_again(again, loaded);
  if (has_curriculum) {
    check(loaded, curriculum);
  }
  for (auto& [place, search] : searches) {
    loaded[place].slot = batch_.add(std::move(search));
  }
  num_ready_ = 0;
  for (const Place& place : loaded) {
    num_ready_ += place.size - place.asked;
  }
  places_ = std::move(loaded);
  again_.assign(again.begin(), again.end());
  tick_ = tick;
  if (has_curriculum) {
    *curriculum_ = std::move(curriculum);
  }
}

void Places::check(const Place& loaded, const Racos& search) const {
  const std::size_t vector_size = search.space().box() != nullptr ? search.space().size() : 0;
  if ((!loaded.hit.empty() && loaded.hit.size() != shape().size()) ||
      (!loaded.hit_vector.empty() && loaded.hit_vector.size() != vector_size)) {
    throw std::invalid_argument("saved places hold an image of another size");
  }
  if (!is_budgeted(loaded.image)) {
    throw std::invalid_argument("saved places hold an image for which there is no budget");
  }
  // Where a search has ended, the iteration of its place has no candidates left.
  const bool has_ended = loaded.size == 0;
  if (loaded.told > loaded.size || loaded.size > search.iteration_size() ||
      (!has_ended && loaded.iteration != search.iteration())) {
    throw std::invalid_argument("saved places hold a search that is not where its place is");
  }
  // They are told in their order. Else those that come next might be told twice, or the iteration would never be over.
  for (std::uint32_t candidate = 0; !has_ended && candidate < search.iteration_size(); ++candidate) {
    if (search.is_told(candidate) != (candidate < loaded.told)) {
      throw std::invalid_argument("saved places hold a search that is not where its place is");
    }
  }
}

void Places::check(const std::vector<Place>& loaded, const Curriculum& curriculum) {
  std::size_t num_searching = 0;
  bool are_awaited = true;
  for (const Place& place : loaded) {
    if (place.is_taken && place.size > 0) {
      ++num_searching;
      are_awaited = are_awaited && curriculum.awaits(place.image, place.tick);
    }
  }
  // Else the clock would hear of a search that it does not know, or wait for ever for one that there is not.
  if (!are_awaited || num_searching != curriculum.num_awaited()) {
    throw std::invalid_argument("saved places hold other searches than those that their curriculum waits for");
  }
}

void Places::check_again(const std::vector<std::vector<std::uint64_t>>& again, const std::vector<Place>& loaded) const {
  std::vector<std::uint32_t> num_rows(loaded.size(), 0);
  for (const std::vector<std::uint64_t>& batch : again) {
    if (batch.empty() || batch.size() > batch_size_) {
      throw std::invalid_argument("saved places had batches of other sizes under way");
    }
    for (const std::uint64_t which : batch) {
      if (which >= loaded.size() || ++num_rows[which] > loaded[which].size - loaded[which].told) {
        throw std::invalid_argument("saved places had rows under way that their searches do not have");
      }
    }
  }
}

}  // namespace dfa
