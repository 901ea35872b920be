#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "dfa/search/racos.hpp"

namespace dfa {

/// One row of an oracle batch: which image's search, and which candidate of its current iteration.
struct Row {
  std::size_t slot;
  std::uint32_t candidate;
};

/// Searches on many images at once. A slot holds one search; a freed slot is used again.
class Batch {
 public:
  Batch(const Config& config, const ImageShape& shape, std::uint64_t seed, int threads);

  int threads() const { return threads_; }
  /// Takes as many threads from the next call on; nothing else depends on them. Throws std::invalid_argument below 1.
  void set_threads(int threads);

  const ImageShape& shape() const { return shape_; }
  const Config& config() const { return config_; }
  std::size_t size() const { return num_searches_; }

  std::size_t add(Space space, std::uint32_t image_id);
  std::size_t add(Space space, std::uint32_t image_id, Plan plan);
  std::size_t add(Racos search);
  void remove(std::size_t slot);
  const Racos& search(std::size_t slot) const;
  Lesson take_lesson(std::size_t slot) { return checked(slot).take_lesson(); }
  /// Racos::vector() of a row that was asked.
  std::vector<std::int16_t> vector(const Row& row) { return checked(row.slot).vector(row.candidate); }

  void give_prior(std::size_t slot, Signs signs) { checked(slot).give_prior(std::move(signs)); }

  /// Writes the images of the rows, one after another, into `images` (rows.size() times shape().size() bytes).
  void ask(const std::vector<Row>& rows, std::uint8_t* images);
  /// Records one degree per row; every iteration that is complete advances. Nothing changes if a row is refused.
  void tell(const std::vector<Row>& rows, const double* degrees);

  std::string save(std::size_t slot) const { return search(slot).save(); }
  /// Adds the search that save() described and returns its slot.
  std::size_t load(const std::string& bytes);

  /// The exact state of all searches, with their slots.
  std::string save_all() const;
  /// Fills a batch that holds no search with those that save_all() described, in their slots. Throws std::logic_error
  /// if the batch holds one, std::invalid_argument for bytes it cannot use; then it stays empty.
  void load_all(const std::string& bytes);

 private:
  Racos& checked(std::size_t slot) const;
  void check_rows(const std::vector<Row>& rows) const;

  Config config_;
  ImageShape shape_;
  std::uint64_t seed_;
  int threads_ = 0;
  std::vector<std::unique_ptr<Racos>> searches_;
  std::vector<std::size_t> free_slots_;
  std::size_t num_searches_ = 0;
  std::vector<Scratch> scratch_;  // of each thread
};

}  // namespace dfa
