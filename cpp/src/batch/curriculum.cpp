#include "dfa/batch/curriculum.hpp"

#include <algorithm>
#include <stdexcept>
#include <string>
#include <utility>

namespace dfa {
namespace {

// New images that there may be, whatever has been learned.
constexpr std::uint64_t kFewest = 4;
// Images that have been learned from, for one that is new.
constexpr std::uint64_t kTeachers = 8;
// Candidates after which an image is not new any more. Most have been broken by then; the others have shown which
// starts and fillings help, and only what breaks them in the end is still to come.
constexpr std::uint64_t kNewCandidates = 64;

// Coordinates of all active images together, and how many images that may be.
constexpr std::size_t kMostCoordinates = std::size_t{1} << 26U;
constexpr std::size_t kFewestActive = 256;
constexpr std::size_t kMostActive = 16384;

std::string name(std::int64_t image) { return "image " + std::to_string(image); }

}  // namespace

Curriculum::Curriculum(std::size_t num_coordinates) : num_coordinates_(num_coordinates), archive_(num_coordinates) {}

std::size_t Curriculum::capacity(std::size_t num_coordinates) {
  return std::clamp(kMostCoordinates / std::max<std::size_t>(num_coordinates, 1), kFewestActive, kMostActive);
}

bool Curriculum::has_room() const {
  const bool is_few = num_new_ < kFewest || num_new_ * num_new_ < num_learned_ || kTeachers * num_new_ < num_learned_;
  return is_few && active_.size() < capacity(num_coordinates_);
}

void Curriculum::begin(std::int64_t image) {
  if (!active_.emplace(image, Active{now_, true, false}).second) {
    throw std::logic_error(name(image) + " takes part already");
  }
  ++num_new_;
}

void Curriculum::report(std::int64_t image, std::int64_t goal, Lesson lesson, std::uint64_t told, bool is_over) {
  const auto found = active_.find(image);
  if (found == active_.end() || found->second.is_over) {
    throw std::logic_error(name(image) + " takes no part");
  }
  Active& active = found->second;
  reports_[active.next][image] = {goal, std::move(lesson), is_over || told >= kNewCandidates, is_over};
  ++active.next;
  active.is_over = is_over;
}

bool Curriculum::awaits(std::int64_t image, std::uint64_t tick) const {
  const auto found = active_.find(image);
  return found != active_.end() && !found->second.is_over && found->second.next == tick;
}

std::size_t Curriculum::num_awaited() const {
  return static_cast<std::size_t>(
      std::count_if(active_.begin(), active_.end(), [](const auto& each) { return !each.second.is_over; }));
}

bool Curriculum::advance() {
  const auto present = reports_.find(now_);
  if (present == reports_.end() || present->second.size() != active_.size()) {
    return false;
  }
  for (const auto& [image, report] : present->second) {
    archive_.learn(report.goal, report.lesson);
    Active& active = active_.at(image);
    if (active.is_new && report.ends_being_new) {
      active.is_new = false;
      --num_new_;
      ++num_learned_;
    }
    if (report.is_over) {
      active_.erase(image);
    }
  }
  reports_.erase(present);
  ++now_;
  return true;
}

void Curriculum::restore() {
  // Each active image has reported on the ticks from this one to its next, and its last report says whether it is over.
  std::size_t num_reports = 0;
  for (const auto& [image, active] : active_) {
    num_new_ += active.is_new ? 1U : 0U;
    if (active.next < now_ || (active.is_over && active.next == now_)) {
      throw std::invalid_argument("saved curriculum holds an image that is behind its clock");
    }
    for (std::uint64_t tick = now_; tick < active.next; ++tick) {
      const auto reports = reports_.find(tick);
      const bool is_there = reports != reports_.end() && reports->second.count(image) != 0;
      if (!is_there || reports->second.at(image).is_over != (active.is_over && tick + 1 == active.next)) {
        throw std::invalid_argument("saved curriculum lacks a report, or holds one of a search that was over");
      }
      ++num_reports;
    }
  }
  for (const auto& [tick, reports] : reports_) {
    num_reports -= reports.size();
    for (const auto& [image, report] : reports) {
      if (report.lesson.found && report.lesson.found->size() != num_words(num_coordinates_)) {
        throw std::invalid_argument("saved curriculum holds a lesson of another image shape");
      }
    }
  }
  if (num_reports != 0) {
    throw std::invalid_argument("saved curriculum holds a report of no active image");
  }
}

}  // namespace dfa
