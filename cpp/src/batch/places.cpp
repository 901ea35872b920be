#include "dfa/batch/places.hpp"

#include <algorithm>
#include <stdexcept>
#include <string>
#include <utility>

#include "dfa/base/state.hpp"

namespace dfa {
namespace {

constexpr const char* kState = "places";

}  // namespace

Places::Places(Batch& batch, std::size_t capacity, std::size_t batch_size, const Budget& budget)
    : batch_(batch), batch_size_(batch_size), budget_(budget), places_(capacity) {
  if (capacity < 1 || batch_size < 1) {
    throw std::invalid_argument("capacity and batch_size must be at least 1, got " + std::to_string(capacity) +
                                " and " + std::to_string(batch_size));
  }
  if (budget.queries < batch.config().population()) {
    throw std::invalid_argument("the start alone needs " + std::to_string(batch.config().population()) +
                                " queries, the limit is " + std::to_string(budget.queries));
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
  const Racos& search = batch_.search(slot);
  if (search.iteration() != 0) {
    throw std::logic_error("the search of slot " + std::to_string(slot) + " is under way already");
  }
  Place fresh;
  fresh.is_taken = true;
  fresh.slot = slot;
  fresh.image = image;
  fresh.goal = goal;
  fresh.deadline = deadline;
  fresh.size = search.iteration_size();
  fresh.best = std::numeric_limits<double>::infinity();
  places_[place] = std::move(fresh);
}

void Places::dismiss(std::size_t place) {
  if (!checked(place).is_taken) {
    throw std::logic_error("place " + std::to_string(place) + " is free");
  }
  if (std::find(row_places_.begin(), row_places_.end(), place) != row_places_.end()) {
    throw std::logic_error("place " + std::to_string(place) + " has rows under way");
  }
  batch_.remove(places_[place].slot);
  places_[place] = Place();
}

std::size_t Places::propose(std::uint8_t* images) {
  if (!rows_.empty()) {
    throw std::logic_error("the rows under way have not been told");
  }
  std::size_t next_turn = turn_;
  for (std::size_t i = 0; i < places_.size(); ++i) {
    const std::size_t which = (turn_ + i) % places_.size();
    Place& place = places_[which];
    while (place.asked < place.size && rows_.size() < batch_size_) {
      rows_.push_back({place.slot, place.asked++});
      row_places_.push_back(which);
    }
    if (place.asked < place.size) {
      next_turn = which;
      break;
    }
  }
  turn_before_rows_ = turn_;
  turn_ = next_turn;
  batch_.ask(rows_, images);
  return rows_.size();
}

void Places::describe_rows(std::int64_t* images, std::int64_t* goals) const {
  for (std::size_t row = 0; row < rows_.size(); ++row) {
    images[row] = places_[row_places_[row]].image;
    goals[row] = places_[row_places_[row]].goal;
  }
}

std::vector<std::size_t> Places::tell(const double* degrees, const std::uint8_t* images, double seconds, double now) {
  const std::size_t size = shape().size();
  for (std::size_t row = 0; row < rows_.size(); ++row) {
    // Telling may end the iteration, and with it the candidate.
    Place& place = places_[row_places_[row]];
    if (degrees[row] == 0.0 && place.hit_vector.empty()) {
      place.hit_vector = batch_.vector(rows_[row]);
    }
  }
  batch_.tell(rows_, degrees);
  std::vector<std::size_t> finished;
  for (std::size_t row = 0; row < rows_.size(); ++row) {
    Place& place = places_[row_places_[row]];
    // Rows of a place are in candidate order, so this is the order in which its images are counted as asked.
    if (degrees[row] < place.best) {
      place.best = degrees[row];
      place.trace.push_back({place.spent + rows_[row].candidate + 1, degrees[row]});
      if (degrees[row] == 0.0) {
        place.hit.assign(images + row * size, images + (row + 1) * size);
      }
    }
    place.seconds += seconds;
    if (++place.told < place.size) {
      continue;
    }
    place.spent += place.size;
    if (!place.hit.empty() || place.spent >= budget_.queries || place.iteration >= budget_.iterations ||
        now >= place.deadline) {
      place.size = place.asked = place.told = 0;
      finished.push_back(row_places_[row]);
      continue;
    }
    ++place.iteration;
    const std::uint64_t next = batch_.search(place.slot).iteration_size();
    place.size = static_cast<std::uint32_t>(std::min(next, budget_.queries - place.spent));
    place.asked = place.told = 0;
  }
  std::sort(finished.begin(), finished.end());
  rows_.clear();
  row_places_.clear();
  return finished;
}

std::string Places::save(double now) const {
  StateWriter out;
  out.field(std::uint64_t{places_.size()});
  out.field(std::uint64_t{rows_.empty() ? turn_ : turn_before_rows_});
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
  std::uint64_t turn = 0;
  in.field(capacity);
  in.field(turn);
  if (capacity != places_.size() || turn >= capacity) {
    throw std::invalid_argument("saved state is of " + std::to_string(capacity) + " places, this has " +
                                std::to_string(places_.size()));
  }
  if (std::any_of(places_.begin(), places_.end(), [](const Place& place) { return place.is_taken; })) {
    throw std::logic_error("saved places need free ones");
  }
  std::vector<Place> loaded(places_.size());
  std::vector<std::pair<std::size_t, Racos>> searches;
  for (std::size_t i = 0; i < loaded.size(); ++i) {
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
  for (auto& [place, search] : searches) {
    loaded[place].slot = batch_.add(std::move(search));
  }
  places_ = std::move(loaded);
  turn_ = static_cast<std::size_t>(turn);
}

void Places::check(const Place& loaded, const Racos& search) const {
  if (!loaded.hit.empty() && loaded.hit.size() != shape().size()) {
    throw std::invalid_argument("saved places hold an image of another size");
  }
  // Where a search has ended, the iteration of its place has no candidates left.
  const bool has_ended = loaded.size == 0;
  if (loaded.told > loaded.size || loaded.size > search.iteration_size() ||
      (!has_ended && loaded.iteration != search.iteration())) {
    throw std::invalid_argument("saved places hold a search that is not where its place is");
  }
}

}  // namespace dfa
