#include "dfa/batch/archive.hpp"

#include <algorithm>
#include <cmath>
#include <stdexcept>
#include <string>
#include <utility>

#include "dfa/base/state.hpp"

namespace dfa {
namespace {

constexpr const char* kState = "an archive";

constexpr std::size_t kMostPerturbations = 256;
constexpr std::size_t kMostTried = 8;
// Of those, how many that are tried not for a success but for where they leave the search to start from.
constexpr std::size_t kMostStartedFrom = 2;
// Candidates' worth of other images' gains that a search begins with.
constexpr double kSharedGains = 3.0;
// What is expected of a texture that was never tried.
constexpr double kTextureRatio = 0.7;
// Trials of a start that are taken to have missed their forecast by this variance.
constexpr double kTrusted = 2.0;
constexpr double kVariance = 0.04;
// Images that are taken to have shown how a texture and its other turn go together, and the share they had in common.
constexpr double kTrustedBonds = 4.0;
constexpr double kBond = 0.3;
// Share of the textures' expected ratio below which a perturbation is worth starting from.
constexpr double kWorthStarting = 0.85;
// What is expected of a prior's start, of the clean image's degree, before any was tried.
constexpr double kPriorRatio = 0.4;

}  // namespace

void Archive::Score::add(double ratio) {
  trials += 1.0;
  successes += ratio == 0.0 ? 1.0 : 0.0;
  ratios += ratio;
  roots += root_left(ratio);
}

Archive::Archive(std::size_t num_coordinates) : num_coordinates_(num_coordinates) {
  entries_.resize(kNumTexturedStarts);
  for (Entry& entry : entries_) {
    entry.name = next_name_++;
  }
}

// What a goal's own trials say, held back by those of all goals, and these by those of like entries.
Archive::Expected Archive::expect(const Entry& entry, std::int64_t goal) const {
  double rate = PlannedStart::kTextureRate;
  double ratio = kTextureRatio;
  double root = std::sqrt(ratio);
  if (entry.signs) {
    const bool is_same = entry.origin == goal;
    const Score& pool = is_same ? same_goal_ : other_goal_;
    rate = (pool.successes + (is_same ? 0.5 : 0.25)) / (pool.trials + 1.0);
    ratio = (pool.ratios + 0.5) / (pool.trials + 1.0);
    root = (pool.roots + std::sqrt(0.5)) / (pool.trials + 1.0);
  }
  rate = (entry.all.successes + rate) / (entry.all.trials + 1.0);
  ratio = (entry.all.ratios + ratio) / (entry.all.trials + 1.0);
  root = (entry.all.roots + root) / (entry.all.trials + 1.0);
  const auto found = entry.by_goal.find(goal);
  const Score own = found == entry.by_goal.end() ? Score() : found->second;
  return {(own.successes + rate) / (own.trials + 1.0), (own.ratios + ratio) / (own.trials + 1.0),
          (own.roots + root) / (own.trials + 1.0)};
}

Outlook Archive::outlook(std::size_t entry, double root) const {
  const Entry& own = entries_[entry];
  Outlook outlook;
  outlook.root = std::min(root, root_left(kLargestRatio));
  outlook.variance = (own.surprises.squared + kTrusted * kVariance) / (own.all.trials + kTrusted);
  if (!own.signs) {
    const Surprise& other = entries_[turned_over(static_cast<std::uint32_t>(entry))].surprises;
    const double shared = own.surprises.shared + other.shared + kTrustedBonds * kVariance * kBond;
    const double partners = own.surprises.partners + other.partners + kTrustedBonds * kVariance;
    outlook.bond = std::clamp(shared / partners, 0.0, 1.0);
  }
  return outlook;
}

double Archive::bond() const {
  double shared = kTrustedBonds * kVariance * kBond;
  double partners = kTrustedBonds * kVariance;
  for (std::size_t i = 0; i < kNumTexturedStarts; ++i) {
    shared += entries_[i].surprises.shared;
    partners += entries_[i].surprises.partners;
  }
  return shared / partners;
}

Plan Archive::plan(std::int64_t goal, double scale, std::shared_ptr<const Signs> prior) const {
  if (!(std::isfinite(scale) && scale > 0.0)) {
    throw std::invalid_argument("scale must be a finite number above 0, got " + std::to_string(scale));
  }
  struct Ranked {
    double score;
    double rate;
    double root;
    std::size_t index;
  };
  std::vector<Ranked> ranked;
  double texture_ratios = 0.0;
  for (std::size_t i = 0; i < kNumTexturedStarts; ++i) {
    const Expected expected = expect(entries_[i], goal);
    texture_ratios += expected.ratio;
    ranked.push_back({expected.rate - 0.3 * expected.ratio, expected.rate, expected.root, i});
  }
  const double texture_ratio = texture_ratios / static_cast<double>(kNumTexturedStarts);
  // A trial costs one query, and a success saves as many as a search takes.
  const double worthwhile = searches_ > 0.0 ? searches_ / std::max(windows_, 2.0 * searches_) : 0.05;
  std::vector<Ranked> perturbations;
  for (std::size_t i = kNumTexturedStarts; i < entries_.size(); ++i) {
    const Expected expected = expect(entries_[i], goal);
    if (expected.rate > worthwhile || expected.ratio < kWorthStarting * texture_ratio) {
      perturbations.push_back({expected.rate - 0.3 * expected.ratio, expected.rate, expected.root, i});
    }
  }
  const auto by_score = [](const Ranked& a, const Ranked& b) { return a.score > b.score; };
  std::stable_sort(perturbations.begin(), perturbations.end(), by_score);
  std::size_t num_tried = 0;
  std::size_t num_started_from = 0;
  for (const Ranked& perturbation : perturbations) {
    const bool may_succeed = perturbation.rate > worthwhile;
    if (num_tried == kMostTried || (!may_succeed && num_started_from == kMostStartedFrom)) {
      continue;
    }
    ++num_tried;
    num_started_from += may_succeed ? 0 : 1;
    ranked.push_back(perturbation);
  }
  std::stable_sort(ranked.begin(), ranked.end(), by_score);

  Plan plan;
  plan.scale = scale;
  for (const Ranked& start : ranked) {
    const Entry& entry = entries_[start.index];
    const auto texture = static_cast<std::uint32_t>(entry.signs ? 0 : start.index);
    plan.starts.push_back({entry.name, texture, entry.signs, start.rate, outlook(start.index, start.root)});
  }
  if (searches_ > 0.0) {
    // The more windows a search takes, the more a better start saves. The chance of a find at so many standard
    // deviations falls about as fast as this rises.
    plan.patience = std::sqrt(std::sqrt(1.0 / worthwhile));
  }
  plan.bond = bond();
  if (prior) {
    PlannedStart start = prior_start(std::move(prior));
    start.rate = (prior_.successes + start.rate) / (prior_.trials + 1.0);
    const double ratio = (prior_.ratios + kPriorRatio) / (prior_.trials + 1.0);
    // First, since whoever gives one believes in it, until it has shown to be no better than a texture.
    if (start.rate > worthwhile || ratio < kWorthStarting * texture_ratio) {
      start.outlook.root = root_left(ratio);
      plan.starts.insert(plan.starts.begin(), std::move(start));
    }
  }
  plan.gains.learn_from(gains_, kSharedGains);
  return plan;
}

void Archive::learn(std::int64_t goal, const Lesson& lesson) {
  if (lesson.found && lesson.found->size() != num_words(num_coordinates_)) {
    throw std::invalid_argument("a lesson of another image shape");
  }
  for (const Lesson::Trial& trial : lesson.trials) {
    const double ratio = std::clamp(trial.ratio, 0.0, kLargestRatio);
    if (trial.entry == PlannedStart::kPriorEntry) {
      prior_.add(ratio);
      continue;
    }
    const auto entry = std::lower_bound(entries_.begin(), entries_.end(), trial.entry,
                                        [](const Entry& e, std::uint32_t name) { return e.name < name; });
    if (entry == entries_.end() || entry->name != trial.entry) {
      continue;  // forgotten since
    }
    entry->all.add(ratio);
    entry->by_goal[goal].add(ratio);
    entry->surprises.add(trial.surprise);
    if (entry->signs) {
      (entry->origin == goal ? same_goal_ : other_goal_).add(ratio);
    }
  }
  gains_.add(lesson.gains);
  searches_ += static_cast<double>(lesson.num_searches);
  windows_ += static_cast<double>(lesson.num_windows);
  if (lesson.found) {
    Entry entry;
    entry.name = next_name_++;
    entry.origin = goal;
    entry.signs = lesson.found;
    entries_.push_back(std::move(entry));
    if (size() > kMostPerturbations) {
      forget_worst();
    }
  }
}

void Archive::forget_worst() {
  const auto merit = [](const Entry& entry) { return (entry.all.successes + 1.0) / (entry.all.trials + 2.0); };
  const auto first = entries_.begin() + static_cast<std::ptrdiff_t>(kNumTexturedStarts);
  entries_.erase(
      std::min_element(first, entries_.end(), [&](const Entry& a, const Entry& b) { return merit(a) < merit(b); }));
}

void Archive::check_entries() const {
  const auto is_whole = [this](const Entry& entry, bool is_texture) {
    return is_texture ? !entry.signs : entry.signs && entry.signs->size() == num_words(num_coordinates_);
  };
  if (entries_.size() < kNumTexturedStarts) {
    throw std::invalid_argument("saved archive lacks a textured start");
  }
  for (std::size_t i = 0; i < entries_.size(); ++i) {
    if (i > 0 && entries_[i].name <= entries_[i - 1].name) {
      throw std::invalid_argument("saved archive holds entries out of order");
    }
    if (entries_[i].name >= next_name_) {
      throw std::invalid_argument("saved archive holds a name that it has not given yet");
    }
    if (!is_whole(entries_[i], i < kNumTexturedStarts)) {
      throw std::invalid_argument("saved archive lacks a textured start, or the signs of a perturbation");
    }
  }
}

std::string Archive::save() const { return save_state(kState, *this); }

Archive Archive::load(const std::string& bytes) {
  Archive archive(0);
  load_state(kState, bytes, archive);
  return archive;
}

}  // namespace dfa
