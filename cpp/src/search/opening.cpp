#include "dfa/search/opening.hpp"

#include <algorithm>
#include <cmath>
#include <limits>
#include <stdexcept>

namespace dfa {
namespace {

// Successes that are expected of starts that go together, before the last of them. What stands behind one is lost.
constexpr double kMostExpected = 0.3;

}  // namespace

double Opening::Hints::surprise_of_other(const PlannedStart& start) const {
  return start.signs ? 0.0 : surprises[turned_over(start.texture)];
}

double Opening::Hints::forecast(const PlannedStart& start) const {
  return start.outlook.root + shift + start.outlook.bond * surprise_of_other(start);
}

Opening::Hints Opening::hints(const Plan& plan) const {
  Hints hints;
  double sum = 0.0;
  double count = 1.0;
  for (const Answer& answer : answers_) {
    const PlannedStart& start = plan.starts[answer.start];
    if (!start.signs) {
      sum += answer.root - start.outlook.root;
      count += 1.0;
    }
  }
  hints.shift = sum / count;
  for (const Answer& answer : answers_) {
    const PlannedStart& start = plan.starts[answer.start];
    if (!start.signs) {
      hints.surprises[start.texture] = answer.root - start.outlook.root - hints.shift;
    }
  }
  return hints;
}

void Opening::choose(const Plan& plan, std::size_t least, std::size_t most) {
  double best = std::numeric_limits<double>::infinity();
  std::vector<bool> is_answered(plan.starts.size(), false);
  for (const Answer& answer : answers_) {
    best = std::min(best, answer.root);
    is_answered[answer.start] = true;
  }
  struct Ranked {
    double hope;
    std::uint32_t start;
  };
  std::vector<Ranked> ranked;
  const Hints known = hints(plan);
  for (std::uint32_t start = 0; start < plan.starts.size(); ++start) {
    const double deviation = std::sqrt(plan.starts[start].outlook.variance);
    const double hope = known.forecast(plan.starts[start]) - plan.patience * deviation;
    if (!is_answered[start] && hope < best) {
      ranked.push_back({hope, start});
    }
  }
  std::stable_sort(ranked.begin(), ranked.end(), [](const Ranked& a, const Ranked& b) { return a.hope < b.hope; });
  chosen_.clear();
  double expected = 0.0;
  for (const Ranked& each : ranked) {
    if (chosen_.size() >= least && (chosen_.size() >= most || expected >= kMostExpected)) {
      break;
    }
    expected += plan.starts[each.start].rate;
    chosen_.push_back(each.start);
  }
}

std::vector<Surprise> Opening::answer(const Plan& plan, const std::vector<double>& degrees) {
  std::vector<Surprise> surprises;
  std::vector<Answer> fresh;
  const Hints known = hints(plan);
  for (std::size_t i = 0; i < chosen_.size(); ++i) {
    const PlannedStart& start = plan.starts[chosen_[i]];
    const double root = root_left(degrees[i] / plan.scale);
    const double error = root - known.forecast(start);
    const double own = root - start.outlook.root - known.shift;
    const double other = known.surprise_of_other(start);
    surprises.push_back({error * error, other * own, other * other});
    fresh.push_back({chosen_[i], root});
  }
  answers_.insert(answers_.end(), fresh.begin(), fresh.end());
  chosen_.clear();
  return surprises;
}

void Opening::check(const Plan& plan) const {
  std::vector<bool> is_answered(plan.starts.size(), false);
  for (const Answer& answer : answers_) {
    if (answer.start >= plan.starts.size() || is_answered[answer.start]) {
      throw std::invalid_argument("saved state holds answers of starts that its plan does not have");
    }
    is_answered[answer.start] = true;
  }
}

}  // namespace dfa
