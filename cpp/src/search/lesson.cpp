#include "dfa/search/lesson.hpp"

#include <algorithm>

namespace dfa {
namespace {

// Of the clean image's degree. An image that was hardly classified to begin with must not outweigh all others.
constexpr double kLargestGain = 1.5;

}  // namespace

void Lesson::add_gain(std::size_t filling, double gain) { gains.add(filling, std::min(gain, kLargestGain)); }

void Lesson::add_hit(const DenseVector& vector) {
  if (!found) {
    found = std::make_shared<const Signs>(signs_of(vector));
  }
}

void save_lesson(const Lesson& lesson, StateWriter& out) {
  out.put(static_cast<std::uint32_t>(lesson.trials.size()));
  for (const Lesson::Trial& trial : lesson.trials) {
    out.put(trial.entry);
    out.put_double(trial.ratio);
  }
  save_gains(lesson.gains, out);
  out.put(lesson.num_windows);
  save_signs(lesson.found, out);
}

Lesson load_lesson(std::size_t num_coordinates, StateReader& in) {
  Lesson lesson;
  const auto num_trials = in.get<std::uint32_t>();
  for (std::uint32_t i = 0; i < num_trials; ++i) {
    const auto entry = in.get<std::uint32_t>();
    lesson.trials.push_back({entry, in.get_double()});
  }
  lesson.gains = load_gains(in);
  lesson.num_windows = in.get<std::uint64_t>();
  lesson.found = load_signs(num_coordinates, in);
  return lesson;
}

}  // namespace dfa
