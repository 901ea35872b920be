#include "dfa/search/lesson.hpp"

#include <algorithm>
#include <stdexcept>
#include <utility>

#include "dfa/base/state.hpp"

namespace dfa {
namespace {

// Of the clean image's degree. An image that was hardly classified to begin with must not outweigh all others.
constexpr double kLargestGain = 1.5;
constexpr const char* kState = "a lesson";

}  // namespace

void Lesson::add_gain(std::size_t filling, double gain) { gains.add(filling, std::min(gain, kLargestGain)); }

void Lesson::add_hit(Signs signs) { found = std::make_shared<const Signs>(std::move(signs)); }

std::string Lesson::save() const { return save_state(kState, *this); }

Lesson Lesson::load(std::size_t num_coordinates, const std::string& bytes) {
  Lesson lesson;
  load_state(kState, bytes, lesson);
  if (lesson.found && lesson.found->size() != num_words(num_coordinates)) {
    throw std::invalid_argument("a lesson of another image shape");
  }
  return lesson;
}

}  // namespace dfa
