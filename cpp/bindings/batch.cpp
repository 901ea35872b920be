#include "dfa/batch/batch.hpp"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include "arrays.hpp"
#include "bind.hpp"
#include "dfa/search/study.hpp"
#include "in_use.hpp"
#include "integers.hpp"
#include "spaces.hpp"

namespace bindings {

using namespace pybind11::literals;

namespace {

// Values of all vectors of one draw_from().
constexpr std::size_t kMostDrawn = 1U << 28U;

std::vector<dfa::Row> to_rows(const Array<std::int64_t>& slots, const Array<std::int64_t>& candidates) {
  if (slots.ndim() != 1 || candidates.ndim() != 1 || slots.shape(0) != candidates.shape(0)) {
    throw std::invalid_argument("slots and candidates must be one-dimensional and of one length, got " +
                                describe(slots) + " and " + describe(candidates));
  }
  const auto n = static_cast<std::size_t>(slots.shape(0));
  std::vector<dfa::Row> rows(n);
  for (std::size_t i = 0; i < n; ++i) {
    const std::int64_t slot = slots.data()[i];
    const std::int64_t candidate = candidates.data()[i];
    if (slot < 0 || candidate < 0 || candidate > UINT32_MAX) {
      throw std::invalid_argument("row " + std::to_string(i) + " has slot " + std::to_string(slot) + " and candidate " +
                                  std::to_string(candidate));
    }
    rows[i] = {static_cast<std::size_t>(slot), static_cast<std::uint32_t>(candidate)};
  }
  return rows;
}

std::size_t add(dfa::Batch& batch, const Array<std::uint8_t>& original, std::uint32_t image_id, const Limits& limits,
                const dfa::Plan* plan) {
  dfa::Space space = to_space(batch.shape(), original, limits, batch.config().domain);
  return plan == nullptr ? batch.add(std::move(space), image_id) : batch.add(std::move(space), image_id, *plan);
}

void ask(dfa::Batch& batch, const Array<std::int64_t>& slots, const Array<std::int64_t>& candidates,
         const Array<std::uint8_t>& images) {
  const std::vector<dfa::Row> rows = to_rows(slots, candidates);
  std::uint8_t* data = writeable_images(images, rows.size(), batch.shape());
  const py::gil_scoped_release release;  // the core touches no Python object
  batch.ask(rows, data);
}

void tell(dfa::Batch& batch, const Array<std::int64_t>& slots, const Array<std::int64_t>& candidates,
          const Array<double>& degrees) {
  const std::vector<dfa::Row> rows = to_rows(slots, candidates);
  if (degrees.ndim() != 1 || degrees.shape(0) != static_cast<py::ssize_t>(rows.size())) {
    throw std::invalid_argument("expected one degree per row, (" + std::to_string(rows.size()) + ",), got " +
                                describe(degrees));
  }
  const double* data = degrees.data();
  const py::gil_scoped_release release;  // the core touches no Python object
  batch.tell(rows, data);
}

py::tuple population(dfa::Batch& batch, std::size_t slot) {
  const dfa::Racos& search = batch.search(slot);
  const dfa::Population& members = search.population();
  Array<double> degrees(static_cast<py::ssize_t>(members.size()));
  Array<std::uint64_t> births(static_cast<py::ssize_t>(members.size()));
  py::list vectors;
  for (std::size_t rank = 0; rank < members.size(); ++rank) {
    const dfa::Member& member = members[rank];
    degrees.mutable_data()[rank] = member.degree;
    births.mutable_data()[rank] = member.birth;
    if (member.family == dfa::Member::kNoVector) {
      vectors.append(py::none());
      continue;
    }
    Array<std::int16_t> vector(static_cast<py::ssize_t>(search.space().size()));
    for (std::size_t p = 0; p < search.space().size(); ++p) {
      vector.mutable_data()[p] = static_cast<std::int16_t>(members.value(member, static_cast<std::uint32_t>(p)));
    }
    vectors.append(vector);
  }
  return py::make_tuple(degrees, births, vectors);
}

Array<std::int32_t> draw_from(const dfa::Config& config, const ShapeTuple& shape_tuple,
                              const Array<std::uint8_t>& original, const Limits& limits,
                              const Array<std::int32_t>& members, std::uint64_t seed, const Integer& count) {
  const dfa::ImageShape shape = to_shape(shape_tuple);
  if (members.ndim() != 2) {
    throw std::invalid_argument("members must have shape (s + k, coordinates), got " + describe(members));
  }
  std::vector<std::vector<std::int32_t>> vectors;
  for (py::ssize_t i = 0; i < members.shape(0); ++i) {
    const std::int32_t* row = members.data(i, 0);
    vectors.emplace_back(row, row + members.shape(1));
  }
  const dfa::Space space = to_space(shape, original, limits, config.domain);
  // All draws are kept, with every coordinate of each.
  const std::size_t num_drawn = checked_size(count, "count", 0, kMostDrawn / space.size());
  const auto drawn = dfa::draw_from(config, shape, space, vectors, seed, static_cast<std::uint32_t>(num_drawn));
  Array<std::int32_t> result({static_cast<py::ssize_t>(num_drawn), members.shape(1)});
  for (std::size_t i = 0; i < drawn.size(); ++i) {
    std::copy(drawn[i].begin(), drawn[i].end(), result.mutable_data(static_cast<py::ssize_t>(i), 0));
  }
  return result;
}

}  // namespace

void bind_batch(py::module_& module) {
  py::class_<HeldBatch>(module, "Batch")
      .def(py::init([](const dfa::Config& config, const ShapeTuple& shape, std::uint64_t seed, const Integer& threads) {
             return std::make_unique<HeldBatch>(config, to_shape(shape), seed, checked_threads(threads));
           }),
           "config"_a, "shape"_a, "seed"_a, "threads"_a)
      .def("add", exclusive<HeldBatch>(&add), "original"_a, "image_id"_a, "limits"_a, "plan"_a = nullptr)
      .def("lesson",
           exclusive<HeldBatch>(+[](dfa::Batch& batch, std::size_t slot) { return batch.search(slot).lesson(); }),
           "slot"_a)
      .def("remove", exclusive<HeldBatch>(&dfa::Batch::remove), "slot"_a)
      .def("ask", exclusive<HeldBatch>(&ask), "slots"_a, "candidates"_a, "images"_a.noconvert())
      .def("tell", exclusive<HeldBatch>(&tell), "slots"_a, "candidates"_a, "degrees"_a)
      .def("iteration",
           exclusive<HeldBatch>(+[](dfa::Batch& batch, std::size_t slot) { return batch.search(slot).iteration(); }),
           "slot"_a)
      .def("iteration_size", exclusive<HeldBatch>(+[](dfa::Batch& batch, std::size_t slot) {
             return batch.search(slot).iteration_size();
           }),
           "slot"_a)
      .def("wants_prior",
           exclusive<HeldBatch>(+[](dfa::Batch& batch, std::size_t slot) { return batch.search(slot).wants_prior(); }),
           "slot"_a)
      .def("give_prior",
           exclusive<HeldBatch>(+[](dfa::Batch& batch, std::size_t slot, const Array<std::uint8_t>& raised) {
             batch.give_prior(slot, checked_signs(raised, batch.shape()));
           }),
           "slot"_a, "raised"_a)
      .def("population", exclusive<HeldBatch>(&population), "slot"_a)
      .def("save",
           exclusive<HeldBatch>(+[](dfa::Batch& batch, std::size_t slot) { return py::bytes(batch.save(slot)); }),
           "slot"_a)
      .def("load", exclusive<HeldBatch>(+[](dfa::Batch& batch, const py::bytes& state) {
             return batch.load(std::string(state));
           }),
           "state"_a)
      .def("save_all", exclusive<HeldBatch>(+[](dfa::Batch& batch) { return py::bytes(batch.save_all()); }))
      .def("load_all",
           exclusive<HeldBatch>(+[](dfa::Batch& batch, const py::bytes& state) { batch.load_all(std::string(state)); }),
           "state"_a)
      .def_property("threads", exclusive<HeldBatch>(&dfa::Batch::threads),
                    exclusive<HeldBatch>(+[](dfa::Batch& batch, const Integer& threads) {
                      batch.set_threads(checked_threads(threads));
                    }))
      .def("__len__", exclusive<HeldBatch>(&dfa::Batch::size));
  module.def("draw_from", &draw_from, "config"_a, "shape"_a, "original"_a, "limits"_a, "members"_a, "seed"_a,
             "count"_a);
}

}  // namespace bindings
