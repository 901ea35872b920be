#include "dfa/search/racos.hpp"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>
#include <memory>
#include <stdexcept>
#include <utility>

#include "dfa/base/state.hpp"

namespace dfa {
namespace {

constexpr std::uint32_t kStateMagic = 0x53414644U;  // "DFAS"
constexpr std::uint32_t kBoxMagic = 0x42414644U;    // "DFAB": the same, but the space has a renderer
constexpr std::uint32_t kRestarts = 0x20000000U;    // set in either of them where a search may begin anew
constexpr std::uint32_t kCoverage = 0x04000000U;    // likewise, where windows go by what others have covered
constexpr std::uint32_t kWeaves = 0x80000000U;      // likewise, where starts are textures: without it, those of 0.1.0
constexpr std::uint32_t kStateVersion = 2;

// So that sums of gains stay finite, whatever the degrees are.
constexpr double kMostGain = 1e12;

std::string describe_candidate(std::uint32_t candidate, std::uint32_t iteration, std::size_t size) {
  return "candidate " + std::to_string(candidate) + " of iteration " + std::to_string(iteration) + " (which has " +
         std::to_string(size) + ")";
}

void save_config(const Config& config, const ImageShape& shape, StateWriter& out) {
  out.put(config.samples);
  out.put(config.positives);
  out.put(config.coordinates);
  out.put(static_cast<std::uint8_t>(config.region));
  out.put(static_cast<std::uint8_t>(config.shape));
  out.put(static_cast<std::uint8_t>(config.values));
  out.put(static_cast<std::uint8_t>(config.start));
  out.put(static_cast<std::uint8_t>(config.domain));
  out.put(static_cast<std::uint8_t>(config.ties));
  out.put_double(config.window_share);
  out.put(static_cast<std::uint32_t>(config.window_halvings.size()));
  for (const std::uint64_t halving : config.window_halvings) {
    out.put(halving);
  }
  out.put(config.starts);
  out.put(shape.height);
  out.put(shape.width);
  out.put(shape.channels);
  if (config.restart_after != 0) {
    out.put(config.restart_after);
    out.put_double(config.rest_ratio);
  }
  if (heeds_coverage(config)) {
    out.put(config.placements);
  }
}

// Tells what a state holds beyond what every state holds, and what its numbers of textures mean.
std::uint32_t magic_of(bool has_box, const Config& config) {
  return (has_box ? kBoxMagic : kStateMagic) | (config.restart_after != 0 ? kRestarts : 0U) |
         (heeds_coverage(config) ? kCoverage : 0U) | (config.start == Start::kTextures ? kWeaves : 0U);
}

void save_box(const Box& box, StateWriter& out) {
  const auto put_text = [&out](const std::string& text) {
    out.put(static_cast<std::uint32_t>(text.size()));
    out.put_bytes(text.data(), text.size());
  };
  put_text(box.kind());
  out.put(static_cast<std::uint32_t>(box.parameters().size()));
  for (const auto& [name, value] : box.parameters()) {
    put_text(name);
    out.put(value);
  }
  out.put(static_cast<std::uint32_t>(box.low().size()));
  for (std::size_t p = 0; p < box.low().size(); ++p) {
    out.put(box.low()[p]);
    out.put(box.high()[p]);
  }
}

void save_space(const Space& space, StateWriter& out) {
  out.put_bytes(space.original().data(), space.original().size());
  if (space.box() != nullptr) {
    save_box(*space.box(), out);
    return;
  }
  out.put(space.radius());
  if (space.radii() != nullptr) {
    out.put_bytes(space.radii()->radii.data(), space.size());
  }
}

std::vector<std::uint8_t> read_bytes(StateReader& in, std::size_t size) {
  const char* data = in.take(size);
  std::vector<std::uint8_t> bytes(size);
  std::memcpy(bytes.data(), data, size);
  return bytes;
}

std::shared_ptr<const Box> load_box(const ImageShape& shape, StateReader& in) {
  const auto get_text = [&in] {
    const auto size = in.get<std::uint32_t>();
    return std::string(in.take(size), size);
  };
  const std::string kind = get_text();
  Parameters parameters;
  const auto num_parameters = in.get<std::uint32_t>();
  for (std::uint32_t i = 0; i < num_parameters; ++i) {
    const std::string name = get_text();
    parameters[name] = in.get<std::int32_t>();
  }
  const auto size = in.get<std::uint32_t>();
  std::vector<std::int16_t> low;
  std::vector<std::int16_t> high;
  for (std::uint32_t p = 0; p < size; ++p) {
    low.push_back(in.get<std::int16_t>());
    high.push_back(in.get<std::int16_t>());
  }
  return std::make_shared<const Box>(kind, shape, parameters, std::move(low), std::move(high));
}

Space load_space(const Config& config, const ImageShape& shape, bool has_box, StateReader& in) {
  std::vector<std::uint8_t> original = read_bytes(in, shape.size());
  if (has_box) {
    return Space(std::move(original), load_box(shape, in));
  }
  const auto radius = in.get<std::uint8_t>();
  if (radius != 0) {
    return Space(std::move(original), radius, config.domain);
  }
  auto radii = std::make_shared<const RadiusMap>(read_bytes(in, shape.size()));
  return Space(std::move(original), std::move(radii), config.domain);
}

void save_plan(const Plan& plan, StateWriter& out) {
  out.put(static_cast<std::uint32_t>(plan.starts.size()));
  for (const PlannedStart& start : plan.starts) {
    out.put(start.entry);
    out.put(start.texture);
    save_signs(start.signs, out);
  }
  save_gains(plan.gains, out);
  out.put_double(plan.scale);
}

Plan load_plan(std::size_t num_coordinates, StateReader& in) {
  Plan plan;
  const auto num_starts = in.get<std::uint32_t>();
  for (std::uint32_t i = 0; i < num_starts; ++i) {
    PlannedStart start;
    start.entry = in.get<std::uint32_t>();
    start.texture = in.get<std::uint32_t>();
    start.signs = load_signs(num_coordinates, in);
    plan.starts.push_back(std::move(start));
  }
  plan.gains = load_gains(in);
  plan.scale = in.get_double();
  return plan;
}

void check_value(const Space& space, std::size_t coordinate, std::int32_t value) {
  if (coordinate >= space.size()) {
    throw std::invalid_argument("saved state holds a coordinate outside the image");
  }
  const Bounds bounds = space.bounds(static_cast<std::uint32_t>(coordinate));
  if (value < bounds.low || value > bounds.high) {
    throw std::invalid_argument("saved state holds a perturbation outside its bounds");
  }
}

DenseVector load_base(const Space& space, StateReader& in) {
  DenseVector base(space.size(), space.largest());
  for (std::size_t p = 0; p < base.size(); ++p) {
    const auto value = in.get<std::int16_t>();
    check_value(space, p, value);
    base.set(p, value);
  }
  return base;
}

Member load_member(const Space& space, StateReader& in) {
  Member member;
  member.degree = in.get_double();
  member.birth = in.get<std::uint64_t>();
  member.family = in.get<std::int32_t>();
  const auto count = in.get<std::uint32_t>();
  for (std::uint32_t i = 0; i < count; ++i) {
    const auto coordinate = in.get<std::uint32_t>();
    const auto value = in.get<std::int16_t>();
    check_value(space, coordinate, value);
    if (!member.edits.empty() && member.edits.back().coordinate >= coordinate) {
      throw std::invalid_argument("saved state holds edits out of order");
    }
    member.edits.push_back({coordinate, value, 0, 0, 0});
  }
  return member;
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
  if (plan_.starts.size() < config_.population()) {
    throw std::invalid_argument("a plan must hold at least " + std::to_string(config_.population()) + " starts, got " +
                                std::to_string(plan_.starts.size()));
  }
  for (const PlannedStart& start : plan_.starts) {
    if (start.signs && start.signs->size() != num_words(space_.size())) {
      throw std::invalid_argument("a plan of another image shape");
    }
  }
  begin_iteration();
}

std::uint32_t Racos::iteration_size() const { return iteration_ == 0 ? config_.population() : config_.samples; }

std::uint64_t Racos::first_birth() const {
  return iteration_ == 0 ? 0 : config_.population() + std::uint64_t{iteration_ - 1} * config_.samples;
}

std::uint64_t Racos::num_starts() const { return descent_.is_first() ? plan_.starts.size() : config_.population(); }

std::uint64_t Racos::num_answered() const {
  const std::uint64_t first_descendant = descent_.first_birth() + num_starts();
  return first_birth() - std::min(first_birth(), first_descendant);
}

ProposalContext Racos::context() const {
  return {config_, shape_, space_, population_, differences_.pairs(), gains_, coverage_, window_side_};
}

void Racos::begin_iteration() {
  candidates_.resize(iteration_size());
  for (Candidate& candidate : candidates_) {
    candidate.whole = DenseVector();
    candidate.proposal.rectangle.height = 0;
    candidate.proposal.edits.clear();
    candidate.is_drawn = false;
    candidate.is_told = false;
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
}

void Racos::draw(std::uint32_t index, Scratch& scratch) {
  Candidate& candidate = candidates_[index];
  if (candidate.is_drawn) {
    return;
  }
  Stream stream({seed_, image_id_, iteration_, index});
  if (is_start(index)) {
    draw_start_candidate(first_birth() + index, stream, candidate);
  } else {
    draw_proposal(context(), stream, scratch, candidate.proposal);
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
  const bool is_planned = descent_.is_first();
  if (is_planned && plan_.starts[birth].signs) {
    candidate.whole = apply_signs(*plan_.starts[birth].signs, space_);
  } else if (is_planned && config_.start == Start::kTextures) {
    weave_start(shape_, plan_.starts[birth].texture, candidate.proposal.rectangle);
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
  candidates_[candidate].is_told = false;
  --num_told_;
}

void Racos::advance(Scratch& scratch) {
  if (!is_complete()) {
    throw std::logic_error("iteration " + std::to_string(iteration_) +
                           " is not complete: " + std::to_string(num_told_) + " of " +
                           std::to_string(candidates_.size()) + " candidates told");
  }
  learn_from_candidates(scratch);
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
      if (candidate.whole.size() == 0 && may_be_read(candidate.degree)) {
        candidate.whole = DenseVector(space_.size(), space_.largest());
        candidate.proposal.rectangle.write(space_, candidate.whole);
      }
      arrivals.push_back({candidate.degree, birth + i, &candidate.whole, 0, nullptr});
    } else {
      const Proposal& proposal = candidate.proposal;
      arrivals.push_back({candidate.degree, birth + i, nullptr, proposal.parent, &proposal.edits,
                          proposal.rectangle.is_empty() ? nullptr : &proposal.rectangle});
    }
  }
  population_.merge(space_, arrivals);
  learn_from_hit(birth);
  ++iteration_;
  restart_if_at_rest();
  begin_iteration();
}

void Racos::restart_if_at_rest() {
  if (descent_.comes_to_rest(config_, num_answered(), population_[0].degree)) {
    population_ = Population(config_);
    coverage_.clear();
    descent_ = Descent(first_birth());
  }
}

bool Racos::is_teaching() const { return descent_.is_first() && first_birth() < Lesson::kLessonQueries; }

bool Racos::may_be_read(double degree) const {
  return config_.region != Region::kNone || population_.size() < config_.positives ||
         degree <= population_[config_.positives - 1].degree;
}

void Racos::learn_from_candidates(Scratch& scratch) {
  const bool is_lesson = is_teaching();
  if (config_.values == Values::kTextures || heeds_coverage(config_)) {
    // Those that were not drawn since the state was loaded, and before any is learned from: that changes what is drawn.
    for (std::uint32_t i = 0; i < candidates_.size(); ++i) {
      draw_if_loaded(i, scratch);
    }
  }
  for (std::uint32_t i = 0; i < candidates_.size(); ++i) {
    Candidate& candidate = candidates_[i];
    if (is_start(i)) {
      if (is_lesson) {
        lesson_.add_start(plan_.starts[first_birth() + i].entry, candidate.degree / plan_.scale);
      }
      continue;
    }
    if (is_lesson) {
      lesson_.add_window();
    }
    const Proposal& proposal = candidate.proposal;
    if (heeds_coverage(config_)) {
      coverage_.add(proposal.top, proposal.left, window_side_);
    }
    if (config_.values != Values::kTextures) {
      continue;
    }
    const double parent_degree = population_[proposal.parent].degree;
    const double gain =
        parent_degree > candidate.degree ? std::min((parent_degree - candidate.degree) / plan_.scale, kMostGain) : 0.0;
    gains_.learn(proposal.filling, gain);
    if (is_lesson) {
      lesson_.add_gain(proposal.filling, gain);
    }
  }
}

// Called with the best member in place and the iteration not yet over.
void Racos::learn_from_hit(std::uint64_t first) {
  if (space_.box() != nullptr) {
    return;  // its vectors have no signs that mean anything on another image
  }
  const Member& best = population_[0];
  const bool is_new = best.birth >= first && best.birth >= plan_.starts.size();
  if (best.degree == 0.0 && is_new && is_teaching()) {
    lesson_.add_hit(population_.family(best).base);
  }
}

std::string Racos::save() const {
  StateWriter out;
  out.put(magic_of(space_.box() != nullptr, config_));
  out.put(kStateVersion);
  save_config(config_, shape_, out);
  out.put(seed_);
  out.put(image_id_);
  out.put(iteration_);
  save_space(space_, out);
  save_plan(plan_, out);
  save_gains(gains_, out);
  save_lesson(lesson_, out);
  if (config_.restart_after != 0) {
    descent_.save(out);
  }
  if (heeds_coverage(config_)) {
    for (const double cell : coverage_.cells()) {
      out.put_double(cell);
    }
  }
  out.put(static_cast<std::uint32_t>(population_.num_families()));
  for (std::size_t f = 0; f < population_.num_families(); ++f) {
    for (std::size_t p = 0; p < space_.size(); ++p) {
      out.put(static_cast<std::int16_t>(population_.family(f).base[p]));
    }
  }
  out.put(static_cast<std::uint32_t>(population_.size()));
  for (std::size_t rank = 0; rank < population_.size(); ++rank) {
    const Member& member = population_[rank];
    out.put_double(member.degree);
    out.put(member.birth);
    out.put(member.family);
    out.put(static_cast<std::uint32_t>(member.edits.size()));
    for (const Edit& edit : member.edits) {
      out.put(edit.coordinate);
      out.put(edit.value);
    }
  }
  for (const Candidate& candidate : candidates_) {
    out.put(static_cast<std::uint8_t>(candidate.is_told ? 1 : 0));
    out.put_double(candidate.is_told ? candidate.degree : 0.0);
  }
  out.put(checksum(out.bytes().data(), out.bytes().size()));
  return out.bytes();
}

Racos Racos::load(const Config& config, const ImageShape& shape, const std::string& bytes) {
  const auto magic = bytes.size() < sizeof(kStateMagic) ? kStateMagic : StateReader(bytes).get<std::uint32_t>();
  const std::uint32_t parts = magic & (kRestarts | kCoverage | kWeaves);
  const bool has_box = (magic ^ parts) == kBoxMagic;
  StateReader in = open_state(bytes, (has_box ? kBoxMagic : kStateMagic) | parts, kStateVersion);
  StateWriter expected;
  save_config(config, shape, expected);
  if (magic_of(has_box, config) != magic ||
      expected.bytes() != std::string(in.take(expected.bytes().size()), expected.bytes().size())) {
    throw std::invalid_argument("saved state belongs to another configuration or image shape");
  }
  const auto seed = in.get<std::uint64_t>();
  const auto image_id = in.get<std::uint32_t>();
  const auto iteration = in.get<std::uint32_t>();
  Space space = load_space(config, shape, has_box, in);
  Plan plan = load_plan(space.size(), in);
  Racos search(config, shape, std::move(space), seed, image_id, std::move(plan));
  search.gains_ = load_gains(in);
  search.lesson_ = load_lesson(search.space_.size(), in);
  search.iteration_ = iteration;
  if (config.restart_after != 0) {
    search.descent_ = Descent::load(search.first_birth(), in);
  }
  if (heeds_coverage(config)) {
    std::vector<double> cells(search.coverage_.cells().size());
    for (double& cell : cells) {
      cell = in.get_double();
    }
    search.coverage_.restore(std::move(cells));
  }
  const auto num_families = in.get<std::uint32_t>();
  std::vector<DenseVector> bases;
  for (std::uint32_t f = 0; f < num_families; ++f) {
    bases.push_back(load_base(search.space_, in));
  }
  const auto num_members = in.get<std::uint32_t>();
  if (num_members !=
      std::min<std::uint64_t>(search.first_birth() - search.descent_.first_birth(), config.population())) {
    throw std::invalid_argument("saved state holds a population of the wrong size");
  }
  std::vector<Member> members;
  for (std::uint32_t i = 0; i < num_members; ++i) {
    members.push_back(load_member(search.space_, in));
  }
  search.population_.restore(search.space_, std::move(bases), std::move(members));
  search.begin_iteration();
  for (Candidate& candidate : search.candidates_) {
    candidate.is_told = in.get<std::uint8_t>() != 0;
    candidate.degree = in.get_double();
    search.num_told_ += candidate.is_told ? 1 : 0;
  }
  if (!in.is_at_end()) {
    throw std::invalid_argument("saved state is longer than its contents");
  }
  return search;
}

}  // namespace dfa
