#include "dfa/search/racos.hpp"

#include <algorithm>
#include <cmath>
#include <limits>
#include <stdexcept>
#include <utility>

namespace dfa {
namespace {

// So that sums of gains stay finite, whatever the degrees are.
constexpr double kMostGain = 1e12;

std::string describe_candidate(std::uint32_t candidate, std::uint32_t iteration, std::size_t size) {
  return "candidate " + std::to_string(candidate) + " of iteration " + std::to_string(iteration) + " (which has " +
         std::to_string(size) + ")";
}

}  // namespace

Racos::Racos(const Config& config, const ImageShape& shape, Space space, std::uint64_t seed, std::uint32_t image_id)
    : Racos(config, shape, std::move(space), seed, image_id, plan_alone(config.num_starts())) {}

Racos::Racos(const Config& config, const ImageShape& shape, Space space, std::uint64_t seed, std::uint32_t image_id,
             Plan plan)
    : config_(config),
      shape_(shape),
      space_(std::move(space)),
      seed_(seed),
      image_id_(image_id),
      plan_(std::move(plan)),
      gains_(plan_.gains),
      coverage_(shape),
      population_(config) {
  validate(config_);
  validate(config_, shape_, space_);
  if (config_.shape == Shape::kRay) {
    plan_.ask_the_first();
  }
  check_plan();
  begin_iteration();
}

void Racos::check_plan() const {
  if (plan_.starts.size() < config_.population()) {
    throw std::invalid_argument("a plan must hold at least " + std::to_string(config_.population()) + " starts, got " +
                                std::to_string(plan_.starts.size()));
  }
  for (const PlannedStart& start : plan_.starts) {
    if (start.signs && start.signs->size() != num_words(space_.size())) {
      throw std::invalid_argument("a plan of another image shape");
    }
  }
}

// Only of the first descent; those of a later one are drawn.
void Racos::choose_starts() {
  if (!descent_.is_first() || opening_.num_answered() != first_birth()) {
    return;
  }
  if (iteration_ == 0) {
    opening_.choose(plan_, config_.population(), config_.population());
  } else if (config_.improvements == 0.0) {
    opening_.choose(plan_, config_.samples, config_.samples);
  } else {
    opening_.choose(plan_, 1, Opening::kMostTogether);
  }
}

// While there are starts, no windows are among them: nothing descends yet.
std::uint32_t Racos::next_size() const {
  if (iteration_ == 0) {
    return config_.population();
  }
  const std::uint64_t told = first_birth() - descent_.first_birth();
  if (config_.shape == Shape::kRay && told >= num_starts()) {
    return 1;
  }
  if (config_.improvements == 0.0) {
    // No ray before all starts are told.
    const std::uint64_t left = config_.shape == Shape::kRay ? num_starts() - told : config_.samples;
    return static_cast<std::uint32_t>(std::min<std::uint64_t>(config_.samples, left));
  }
  if (told < num_starts()) {
    return static_cast<std::uint32_t>(num_starts() - told);
  }
  return pace_.num_windows(config_) + (merger_.is_empty() ? 0U : 1U);
}

std::uint64_t Racos::num_starts() const { return descent_.is_first() ? opening_.num_asked() : config_.population(); }

std::uint64_t Racos::num_answered() const {
  const std::uint64_t first_descendant = descent_.first_birth() + num_starts();
  return first_birth() - std::min(first_birth(), first_descendant);
}

void Racos::propose(std::uint32_t index, const Coverage& coverage, Scratch& scratch) {
  Proposal& proposal = candidates_[index].proposal;
  if (is_merger(index)) {
    proposal.parent = 0;
    proposal.edits = merger_.edits();
    return;
  }
  Stream stream({seed_, image_id_, iteration_, index});
  draw_proposal({config_, shape_, space_, population_, differences_.pairs(), gains_, coverage, window_side_,
                 window_share(config_, num_answered()), config_.prior ? &prior_.signs : nullptr},
                stream, scratch, proposal);
}

void Racos::propose_all() {
  Coverage coverage = coverage_;
  Scratch scratch;
  for (std::uint32_t i = 0; i < candidates_.size(); ++i) {
    propose(i, coverage, scratch);
    if (!is_merger(i) && heeds_coverage(config_)) {
      coverage.add(candidates_[i].proposal.top, candidates_[i].proposal.left, candidates_[i].proposal.side);
    }
  }
}

void Racos::begin_iteration() {
  choose_starts();
  candidates_.resize(next_size());
  for (Candidate& candidate : candidates_) {
    candidate.whole = DenseVector();
    candidate.proposal.rectangle.height = 0;
    candidate.proposal.edits.clear();
    candidate.degree = 0.0;
    candidate.is_drawn = false;
    candidate.is_told = false;
    candidate.has_improved = false;
  }
  num_told_ = 0;
  if (iteration_ == 0) {
    return;
  }
  if (config_.shape == Shape::kWindow) {
    window_side_ = dfa::window_side(config_, shape_, num_answered());
  }
  if (config_.region == Region::kOrdered) {
    if (is_start(iteration_size() - 1)) {
      differences_.clear();  // nothing descends yet, and a population that is filling up may lack negatives
    } else {
      differences_.update(space_, population_, first_birth() - config_.samples);
    }
  }
  if (proposes_ahead() && !wants_prior()) {
    propose_all();
  }
}

bool Racos::wants_prior() const {
  return config_.prior && !is_start(iteration_size() - 1) &&
         (prior_.signs.empty() || prior_.birth != population_[0].birth);
}

void Racos::write_best(std::uint8_t* image) const {
  if (population_.size() == 0) {
    throw std::logic_error("no candidate has been told yet");
  }
  // A family's base is its best member.
  const std::vector<std::uint8_t>& best = population_.family(population_[0]).image;
  std::copy(best.begin(), best.end(), image);
}

void Racos::give_prior(Signs signs) {
  if (!wants_prior()) {
    throw std::logic_error("no prior is wanted by iteration " + std::to_string(iteration_));
  }
  if (signs.size() != num_words(space_.size())) {
    throw std::invalid_argument("a prior of another image shape");
  }
  prior_ = {std::move(signs), population_[0].birth};
  if (proposes_ahead()) {
    propose_all();
  }
}

void Racos::draw(std::uint32_t index, Scratch& scratch) {
  Candidate& candidate = candidates_[index];
  if (candidate.is_drawn) {
    return;
  }
  if (is_start(index)) {
    Stream stream({seed_, image_id_, iteration_, index});
    draw_start_candidate(first_birth() + index, stream, candidate);
  } else if (wants_prior()) {
    throw std::logic_error("asked before the prior was given: " +
                           describe_candidate(index, iteration_, candidates_.size()));
  } else if (!proposes_ahead() && !is_on_ray(index)) {
    propose(index, coverage_, scratch);
  }
  candidate.is_drawn = true;
}

// What was told before the state was saved is not drawn, and edits are complete only when they have been rendered.
void Racos::draw_if_loaded(std::uint32_t index, Scratch& scratch) {
  if (candidates_[index].is_drawn) {
    return;
  }
  draw(index, scratch);
  if (!candidates_[index].proposal.edits.empty()) {
    scratch.image.resize(shape_.size());
    render(index, scratch, scratch.image.data());
  }
}

void Racos::draw_start_candidate(std::uint64_t birth, Stream& stream, Candidate& candidate) {
  // A later descent is to begin elsewhere, and textures would be the same again.
  const PlannedStart* planned = descent_.is_first() ? &plan_.starts[opening_.start(birth)] : nullptr;
  if (planned != nullptr && planned->signs) {
    candidate.whole = apply_signs(*planned->signs, space_);
  } else if (planned != nullptr && config_.start == Start::kTextures) {
    weave_start(shape_, planned->texture, candidate.proposal.rectangle);
  } else {
    draw_start(config_, shape_, space_, stream, candidate.whole);
  }
}

void Racos::assemble(Candidate& candidate, std::vector<std::int16_t>& x) const {
  if (candidate.whole.size() != 0) {
    dfa::assemble(candidate.whole, x);
  } else {
    assemble_proposal(population_, candidate.proposal, x);
  }
}

std::vector<std::int16_t> Racos::vector(std::uint32_t candidate) {
  if (candidate >= candidates_.size() || !candidates_[candidate].is_drawn) {
    throw std::logic_error("not asked: " + describe_candidate(candidate, iteration_, candidates_.size()));
  }
  std::vector<std::int16_t> x;
  if (space_.box() != nullptr) {
    assemble(candidates_[candidate], x);
  }
  return x;
}

void Racos::render(std::uint32_t index, Scratch& scratch, std::uint8_t* image) {
  Candidate& candidate = candidates_[index];
  if (is_on_ray(index)) {
    walk_.render(ray_context(), image);
    return;
  }
  if (const Box* box = space_.box()) {
    assemble(candidate, scratch.vector);
    box->render(space_.original().data(), scratch.vector.data(), image);
    return;
  }
  if (candidate.whole.size() != 0) {
    candidate.whole.render(space_, image);
  } else if (is_start(index)) {
    candidate.proposal.rectangle.paint(space_, image);
  } else {
    render_proposal(space_, population_, candidate.proposal, image);
  }
}

bool Racos::claim(std::uint32_t candidate) {
  const bool was_claimed = candidates_[candidate].is_claimed;
  candidates_[candidate].is_claimed = true;
  return !was_claimed;
}

void Racos::ask(std::uint32_t candidate, Scratch& scratch, std::uint8_t* image) {
  if (candidate >= candidates_.size()) {
    throw std::invalid_argument("no " + describe_candidate(candidate, iteration_, candidates_.size()));
  }
  draw(candidate, scratch);
  render(candidate, scratch, image);
}

void Racos::tell(std::uint32_t index, double degree) {
  // What was told before the state was saved is told, and not drawn.
  if (index < candidates_.size() && candidates_[index].is_told) {
    throw std::logic_error("told twice: " + describe_candidate(index, iteration_, candidates_.size()));
  }
  if (index >= candidates_.size() || !candidates_[index].is_drawn) {
    throw std::logic_error("told before asked: " + describe_candidate(index, iteration_, candidates_.size()));
  }
  Candidate& candidate = candidates_[index];
  if (std::isnan(degree)) {
    throw std::invalid_argument("a degree must be a number, got NaN for " +
                                describe_candidate(index, iteration_, candidates_.size()));
  }
  candidate.degree = degree + 0.0;  // turns -0.0 into 0.0
  candidate.is_told = true;
  ++num_told_;
}

void Racos::retract(std::uint32_t candidate) {
  candidates_[candidate].degree = 0.0;
  candidates_[candidate].is_told = false;
  --num_told_;
}

void Racos::advance(Scratch& scratch) {
  if (!is_complete()) {
    throw std::logic_error("iteration " + std::to_string(iteration_) +
                           " is not complete: " + std::to_string(num_told_) + " of " +
                           std::to_string(candidates_.size()) + " candidates told");
  }
  if (is_on_ray(0)) {
    advance_on_ray();
    return;
  }
  learn_from_candidates(scratch);
  const std::vector<Proposal> turned = turned_windows();
  std::vector<Arrival>& arrivals = scratch.arrivals;
  arrivals.clear();
  const std::uint64_t birth = first_birth();
  const bool is_full = population_.size() == config_.population();
  for (std::uint32_t i = 0; i < candidates_.size(); ++i) {
    Candidate& candidate = candidates_[i];
    if (is_full && candidate.degree > population_[population_.size() - 1].degree) {
      continue;
    }
    draw_if_loaded(i, scratch);
    if (is_start(i)) {
      const Rectangle& rectangle = candidate.proposal.rectangle;
      arrivals.push_back({candidate.degree, birth + i, &candidate.whole, 0, nullptr,
                          candidate.whole.size() == 0 ? &rectangle : nullptr});
    } else {
      const Proposal& proposal = candidate.proposal;
      arrivals.push_back({candidate.degree, birth + i, nullptr, proposal.parent, &proposal.edits,
                          proposal.rectangle.is_empty() ? nullptr : &proposal.rectangle});
    }
  }
  population_.merge(space_, arrivals);
  learn_from_hit(birth);
  merge_improvements(birth, turned);
  ++iteration_;
  first_birth_ += candidates_.size();
  restart_if_at_rest();
  begin_iteration();
}

// The label counts wherever the degree is below 1: at 0 within the ball, in between beyond it.
void Racos::advance_on_ray() {
  const double degree = candidates_[0].degree;
  if (is_teaching()) {
    lesson_.add_window(first_birth() == plan_.starts.size());
    if (degree == 0.0 && !has_taught_hit_) {
      has_taught_hit_ = true;
      lesson_.add_hit(walk_.direction(ray_context()));
    }
  }
  walk_.tell(ray_context(), degree < 1.0);
  ++iteration_;
  ++first_birth_;
  begin_iteration();
}

void Racos::restart_if_at_rest() {
  if (config_.shape != Shape::kRay && descent_.comes_to_rest(config_, num_answered(), population_[0].degree)) {
    population_ = Population(config_);
    coverage_.clear();
    pace_ = Pace();
    merger_.clear();
    descent_ = Descent(first_birth());
  }
}

bool Racos::is_teaching() const { return descent_.is_first() && first_birth() < Lesson::kCandidates; }

void Racos::learn_from_candidates(Scratch& scratch) {
  const bool is_lesson = is_teaching();
  if (config_.values == Values::kTextures || heeds_coverage(config_) || config_.improvements != 0.0) {
    // Those that were not drawn since the state was loaded, and before any is learned from: that changes what is drawn.
    for (std::uint32_t i = 0; i < candidates_.size(); ++i) {
      draw_if_loaded(i, scratch);
    }
  }
  std::uint32_t num_improved = 0;
  for (std::uint32_t i = 0; i < candidates_.size(); ++i) {
    Candidate& candidate = candidates_[i];
    if (is_start(i)) {
      continue;
    }
    if (is_lesson) {
      lesson_.add_window(first_birth() + i == num_starts());
    }
    candidate.has_improved = candidate.degree < population_[candidate.proposal.parent].degree;
    if (!is_merger(i)) {
      num_improved += candidate.has_improved ? 1U : 0U;
      learn_from_window(candidate);
    }
  }
  if (config_.improvements != 0.0 && !is_start(0)) {
    pace_.count(iteration_size() - (merger_.is_empty() ? 0U : 1U), num_improved);
  }
  if (descent_.is_first() && is_start(0)) {
    answer_starts(is_lesson);
  }
}

void Racos::answer_starts(bool is_lesson) {
  std::vector<double> degrees;
  for (std::uint32_t i = 0; i < candidates_.size() && is_start(i); ++i) {
    degrees.push_back(candidates_[i].degree);
  }
  const std::vector<Surprise> surprises = opening_.answer(plan_, degrees);
  for (std::size_t i = 0; is_lesson && i < degrees.size(); ++i) {
    const std::uint32_t entry = plan_.starts[opening_.start(first_birth() + i)].entry;
    lesson_.trials.push_back({entry, degrees[i] / plan_.scale, surprises[i]});
  }
}

void Racos::learn_from_window(const Candidate& candidate) {
  const Proposal& proposal = candidate.proposal;
  if (heeds_coverage(config_)) {
    coverage_.add(proposal.top, proposal.left, proposal.side);
  }
  if (config_.values != Values::kTextures) {
    return;
  }
  const double parent_degree = population_[proposal.parent].degree;
  const double gain =
      candidate.has_improved ? std::min((parent_degree - candidate.degree) / plan_.scale, kMostGain) : 0.0;
  gains_.learn(proposal.filling, gain);
  if (is_teaching()) {
    lesson_.add_gain(proposal.filling, gain);
  }
}

// Called with the parents still in place. Textured windows are left out: turned over they help less.
std::vector<Proposal> Racos::turned_windows() const {
  if (plan_.bond >= 0.0 || config_.improvements == 0.0 || config_.values != Values::kTextures || is_start(0)) {
    return {};
  }
  std::vector<Merger::Effect> effects;
  for (std::uint32_t i = 0; i < candidates_.size(); ++i) {
    const Proposal& proposal = candidates_[i].proposal;
    if (!is_merger(i) && proposal.filling == Gains::kPlain) {
      effects.push_back({candidates_[i].degree - population_[proposal.parent].degree, &proposal});
    }
  }
  return Merger::turned_over(effects);
}

void Racos::merge_improvements(std::uint64_t first, const std::vector<Proposal>& turned) {
  merger_.clear();
  if (config_.improvements == 0.0 || is_start(0)) {
    return;
  }
  std::vector<Merger::Improvement> improvements;
  const std::uint64_t best = population_[0].birth;
  if (best < first) {
    merger_.gather(space_, population_, turned, nullptr, improvements);
    return;
  }
  for (const Candidate& candidate : candidates_) {
    if (candidate.has_improved) {
      improvements.push_back({candidate.degree, &candidate.proposal});
    }
  }
  merger_.gather(space_, population_, turned, &candidates_[best - first].proposal, improvements);
}

// Called with the best member in place and the iteration not yet over.
void Racos::learn_from_hit(std::uint64_t first) {
  if (space_.box() != nullptr) {
    return;  // its vectors have no signs that mean anything on another image
  }
  const Member& best = population_[0];
  const bool is_new = best.birth >= first && best.birth >= num_starts();
  if (best.degree == 0.0 && is_new && is_teaching() && !has_taught_hit_) {
    has_taught_hit_ = true;
    lesson_.add_hit(signs_of(population_.family(best).base));
  }
}

}  // namespace dfa
