#include <algorithm>
#include <cmath>
#include <stdexcept>
#include <utility>

#include "dfa/base/state.hpp"
#include "dfa/search/racos.hpp"

namespace dfa {
namespace {

constexpr const char* kState = "a search";

}  // namespace

Racos::Racos(const Config& config, const ImageShape& shape)
    : config_(config), shape_(shape), coverage_(shape), population_(config) {}

void Racos::restore() {
  space_.restore(shape_);
  validate(config_, shape_, space_);
  check_plan();
  if (lesson_.found && lesson_.found->size() != num_words(space_.size())) {
    throw std::invalid_argument("saved state holds a lesson of another image shape");
  }
  if (!prior_.signs.empty() && prior_.signs.size() != num_words(space_.size())) {
    throw std::invalid_argument("saved state holds a prior of another image shape");
  }
  // Where improvements are wished for, the last of a group of starts may be alone.
  const bool is_paced = config_.improvements != 0.0 || config_.shape == Shape::kRay;
  const std::uint64_t least =
      iteration_ == 0 ? 0 : config_.population() + std::uint64_t{iteration_ - 1U} * (is_paced ? 1U : config_.samples);
  // So many that no search comes to it, and numbers made of it stay within 64 bits.
  constexpr std::uint64_t kMost = std::uint64_t{1} << 62U;
  if (is_paced ? first_birth() < least || first_birth() >= kMost : first_birth() != least) {
    throw std::invalid_argument("saved state holds a number of candidates that cannot be");
  }
  const std::uint64_t first_of_descent = descent_.first_birth();
  if (first_of_descent > first_birth()) {
    throw std::invalid_argument(std::string("saved state holds ") + Descent::kNoDescent);
  }
  if (population_.size() != std::min<std::uint64_t>(first_birth() - first_of_descent, config_.population())) {
    throw std::invalid_argument("saved state holds a population of the wrong size");
  }
  for (std::size_t rank = 0; rank < population_.size(); ++rank) {
    const std::uint64_t birth = population_[rank].birth;
    if (birth < first_of_descent || birth >= first_birth()) {
      throw std::invalid_argument("saved state holds a member that is not of its descent");
    }
  }
  opening_.check(plan_);
  if (opening_.num_answered() > first_birth() || (iteration_ > 0 && opening_.num_answered() < config_.population())) {
    throw std::invalid_argument("saved state holds a number of starts that cannot be");
  }
  population_.restore(space_);
  merger_.restore(space_, config_.improvements != 0.0 && num_answered() != 0);
  if (config_.shape == Shape::kRay) {
    walk_.check(ray_context());
  }
  restore_answers();
}

// Candidates are drawn again when they are needed; what was answered of them is all that a state holds.
void Racos::restore_answers() {
  const std::vector<Candidate> answers = std::move(candidates_);
  candidates_.clear();
  begin_iteration();
  if (answers.size() != candidates_.size()) {
    throw std::invalid_argument("saved state holds an iteration of the wrong size");
  }
  for (std::size_t i = 0; i < answers.size(); ++i) {
    if (std::isnan(answers[i].degree)) {
      throw std::invalid_argument("saved state holds a degree that is not a number");
    }
    candidates_[i].is_told = answers[i].is_told;
    candidates_[i].degree = answers[i].degree;
    num_told_ += answers[i].is_told ? 1 : 0;
  }
}

std::string Racos::save() const {
  StateWriter out;
  write(out);
  return seal_state(kState, out);
}

Racos Racos::load(const Config& config, const ImageShape& shape, const std::string& bytes) {
  StateReader in = open_state(kState, bytes);
  Racos search = read(config, shape, in);
  in.finish();
  return search;
}

void Racos::write(StateWriter& out) const { out.part("search", *this); }

Racos Racos::read(const Config& config, const ImageShape& shape, StateReader& in) {
  Racos search(config, shape);
  in.part("search", search);
  return search;
}

}  // namespace dfa
