#include "dfa/batch/batch.hpp"

#include <algorithm>
#include <stdexcept>
#include <utility>

#include "dfa/base/parallel.hpp"
#include "dfa/base/state.hpp"

namespace dfa {
namespace {

constexpr const char* kState = "a batch";

// Holds every row's candidate for the length of one ask().
class Claims {
 public:
  Claims(const std::vector<Row>& rows, const std::vector<std::unique_ptr<Racos>>& searches)
      : rows_(rows), searches_(searches) {
    for (; claimed_ < rows.size(); ++claimed_) {
      const Row& row = rows[claimed_];
      if (!searches[row.slot]->claim(row.candidate)) {
        release();
        throw std::invalid_argument("candidate " + std::to_string(row.candidate) + " of slot " +
                                    std::to_string(row.slot) + " stands in more than one row");
      }
    }
  }
  Claims(const Claims&) = delete;
  Claims& operator=(const Claims&) = delete;
  ~Claims() { release(); }

 private:
  void release() {
    for (; claimed_ > 0; --claimed_) {
      searches_[rows_[claimed_ - 1].slot]->release(rows_[claimed_ - 1].candidate);
    }
  }

  const std::vector<Row>& rows_;
  const std::vector<std::unique_ptr<Racos>>& searches_;
  std::size_t claimed_ = 0;
};

}  // namespace

Batch::Batch(const Config& config, const ImageShape& shape, std::uint64_t seed, int threads)
    : config_(config), shape_(shape), seed_(seed) {
  validate(config_);
  validate(shape_);
  set_threads(threads);
}

void Batch::set_threads(int threads) {
  if (threads < 1) {
    throw std::invalid_argument("threads must be at least 1, got " + std::to_string(threads));
  }
  // What fewer threads leave idle is kept: they may be more again at the next call.
  scratch_.resize(std::max(scratch_.size(), static_cast<std::size_t>(threads)));
  threads_ = threads;
}

std::size_t Batch::add(Space space, std::uint32_t image_id) {
  return add(Racos(config_, shape_, std::move(space), seed_, image_id));
}

std::size_t Batch::add(Space space, std::uint32_t image_id, Plan plan) {
  return add(Racos(config_, shape_, std::move(space), seed_, image_id, std::move(plan)));
}

std::size_t Batch::add(Racos search) {
  auto owned = std::make_unique<Racos>(std::move(search));
  ++num_searches_;
  if (free_slots_.empty()) {
    searches_.push_back(std::move(owned));
    return searches_.size() - 1;
  }
  const std::size_t slot = free_slots_.back();
  free_slots_.pop_back();
  searches_[slot] = std::move(owned);
  return slot;
}

void Batch::remove(std::size_t slot) {
  checked(slot);
  searches_[slot].reset();
  free_slots_.push_back(slot);
  --num_searches_;
}

Racos& Batch::checked(std::size_t slot) const {
  if (slot >= searches_.size() || !searches_[slot]) {
    throw std::invalid_argument("slot " + std::to_string(slot) + " holds no search");
  }
  return *searches_[slot];
}

const Racos& Batch::search(std::size_t slot) const { return checked(slot); }

void Batch::check_rows(const std::vector<Row>& rows) const {
  for (const Row& row : rows) {
    const Racos& search = checked(row.slot);
    if (row.candidate >= search.iteration_size()) {
      throw std::invalid_argument("slot " + std::to_string(row.slot) + " has " +
                                  std::to_string(search.iteration_size()) + " candidates in this iteration, got " +
                                  std::to_string(row.candidate));
    }
  }
}

void Batch::ask(const std::vector<Row>& rows, std::uint8_t* images) {
  check_rows(rows);
  // Two threads must not draw the same candidate, so no candidate may stand in two rows.
  const Claims claims(rows, searches_);
  const std::size_t size = shape_.size();
  parallel_for(rows.size(), threads_, 2 * rows.size() * size, [&](std::size_t i, std::size_t thread) {
    searches_[rows[i].slot]->ask(rows[i].candidate, scratch_[thread], images + i * size);
  });
}

void Batch::tell(const std::vector<Row>& rows, const double* degrees) {
  check_rows(rows);
  std::vector<Racos*> complete;
  for (std::size_t i = 0; i < rows.size(); ++i) {
    Racos& search = *searches_[rows[i].slot];
    try {
      search.tell(rows[i].candidate, degrees[i]);
    } catch (...) {
      for (std::size_t j = 0; j < i; ++j) {
        searches_[rows[j].slot]->retract(rows[j].candidate);
      }
      throw;
    }
    if (search.is_complete()) {
      complete.push_back(&search);
    }
  }
  // After iteration 0 whole vectors are sorted out; later, each of the population's vectors is compared and merged a
  // few times, edit by edit; but rectangles that only the best member takes are painted, if they improve.
  const std::size_t num_changed = config_.shape == Shape::kWindow ? shape_.size() / 16 : config_.coordinates;
  const bool is_painted = draws_rectangles(config_) && config_.positives == 1;
  const std::size_t num_later = (is_painted ? 1 : 8 * sizeof(Edit)) * num_changed;
  std::size_t bytes = 0;
  for (const Racos* search : complete) {
    bytes += config_.population() * (search->iteration() == 0 ? 2 * shape_.size() : num_later);
  }
  parallel_for(complete.size(), threads_, bytes,
               [&](std::size_t i, std::size_t thread) { complete[i]->advance(scratch_[thread]); });
}

std::string Batch::save_all() const {
  StateWriter out;
  out.field(std::uint64_t{searches_.size()});
  for (const std::unique_ptr<Racos>& search : searches_) {
    out.field(search != nullptr);
    if (search) {
      search->write(out);
    }
  }
  return seal_state(kState, out);
}

void Batch::load_all(const std::string& bytes) {
  if (num_searches_ != 0) {
    throw std::logic_error("a saved batch needs an empty one, this holds " + std::to_string(num_searches_) +
                           " searches");
  }
  StateReader in = open_state(kState, bytes);
  std::uint64_t num_slots = 0;
  in.field(num_slots);
  std::vector<std::unique_ptr<Racos>> searches;
  std::vector<std::size_t> free_slots;
  // One by one: where the number is wrong, the bytes end before the memory.
  for (std::uint64_t slot = 0; slot < num_slots; ++slot) {
    bool is_taken = false;
    in.field(is_taken);
    if (is_taken) {
      searches.push_back(std::make_unique<Racos>(Racos::read(config_, shape_, in)));
    } else {
      free_slots.push_back(searches.size());
      searches.push_back(nullptr);
    }
  }
  in.finish();
  num_searches_ = searches.size() - free_slots.size();
  searches_ = std::move(searches);
  free_slots_ = std::move(free_slots);
}

std::size_t Batch::load(const std::string& bytes) { return add(Racos::load(config_, shape_, bytes)); }

}  // namespace dfa
