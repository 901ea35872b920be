#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

#include "dfa/base/state.hpp"
#include "dfa/search/gains.hpp"
#include "dfa/space/signs.hpp"

namespace dfa {

/// What one search teaches the archive, from its first kLessonQueries candidates only, so that a search that goes on
/// does not keep others waiting.
struct Lesson {
  static constexpr std::uint64_t kLessonQueries = 200;

  struct Trial {
    std::uint32_t entry;
    double ratio;  ///< the start's degree over the clean image's; 0: it was adversarial
  };
  std::vector<Trial> trials;
  Gains gains;
  std::uint64_t num_windows = 0;       ///< candidates after the starts
  std::shared_ptr<const Signs> found;  ///< of the first adversarial candidate, unless that was a start
};

void save_lesson(const Lesson& lesson, StateWriter& out);
Lesson load_lesson(std::size_t num_coordinates, StateReader& in);

}  // namespace dfa
