#include "dfa/lattice/lattice.hpp"

#include <pybind11/native_enum.h>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include "arrays.hpp"
#include "bind.hpp"
#include "in_use.hpp"
#include "integers.hpp"

namespace bindings {

using namespace pybind11::literals;

namespace {

// Random candidates of a search: so many that are all the same are passed over in no time.
constexpr std::size_t kMostStochastic = 1U << 20U;

std::vector<std::size_t> to_slots(const Array<std::int64_t>& slots) {
  if (slots.ndim() != 1) {
    throw std::invalid_argument("slots must be one-dimensional, got " + describe(slots));
  }
  for (py::ssize_t i = 0; i < slots.size(); ++i) {
    if (slots.data()[i] < 0) {
      throw std::invalid_argument("row " + std::to_string(i) + " has slot " + std::to_string(slots.data()[i]));
    }
  }
  return {slots.data(), slots.data() + slots.size()};
}

std::vector<std::size_t> add_lattices(dfa::LatticeBatch& batch, const Array<double>& levels,
                                      const Array<std::uint8_t>& originals, const std::vector<std::int32_t>& epsilons,
                                      const std::vector<std::uint32_t>& ids) {
  const auto size = static_cast<py::ssize_t>(ids.size() * batch.size());
  if (levels.size() != size || originals.size() != size || epsilons.size() != ids.size()) {
    throw std::invalid_argument("expected " + std::to_string(ids.size()) + " rows of " + std::to_string(batch.size()) +
                                " levels, originals, and an epsilon and an id each, got " + describe(levels) + ", " +
                                describe(originals) + " and " + std::to_string(epsilons.size()) + " epsilons");
  }
  const double* data = levels.data();
  const std::uint8_t* pixels = originals.data();
  const py::gil_scoped_release release;  // the core touches no Python object
  return batch.add(data, pixels, epsilons, ids);
}

std::vector<std::optional<dfa::LatticeStage>> propose_lattices(dfa::LatticeBatch& batch,
                                                               const Array<std::int64_t>& slots,
                                                               const Array<std::uint8_t>& images) {
  const std::vector<std::size_t> rows = to_slots(slots);
  // Divided and not multiplied: the first dimension of an empty array may be so large that a product overflows.
  const auto size = static_cast<py::ssize_t>(batch.size());
  if (images.ndim() < 1 || images.shape(0) < slots.size() || images.size() % size != 0 ||
      images.size() / size != images.shape(0) || !images.writeable()) {
    throw std::invalid_argument("images must be writeable and hold at least " + std::to_string(rows.size()) +
                                " rows of " + std::to_string(batch.size()) + " values, got " + describe(images));
  }
  auto* data = const_cast<std::uint8_t*>(images.data());
  const py::gil_scoped_release release;  // the core touches no Python object
  return batch.propose(rows, data);
}

void tell_lattices(dfa::LatticeBatch& batch, const Array<std::int64_t>& slots, const Array<double>& degrees) {
  const std::vector<std::size_t> rows = to_slots(slots);
  if (degrees.ndim() != 1 || degrees.size() != slots.size()) {
    throw std::invalid_argument("expected one degree per slot, (" + std::to_string(rows.size()) + ",), got " +
                                describe(degrees));
  }
  const double* data = degrees.data();
  const py::gil_scoped_release release;  // the core touches no Python object
  batch.tell(rows, data);
}

}  // namespace

void bind_lattice(py::module_& module) {
  py::native_enum<dfa::LatticeStage>(module, "LatticeStage", "enum.Enum")
      .value("NEAREST", dfa::LatticeStage::kNearest)
      .value("OUTWARD", dfa::LatticeStage::kOutward)
      .value("STOCHASTIC", dfa::LatticeStage::kStochastic)
      .value("BLOCKS", dfa::LatticeStage::kBlocks)
      .value("COORDINATES", dfa::LatticeStage::kCoordinates)
      .finalize();
  py::class_<HeldLatticeBatch>(module, "LatticeBatch")
      .def(py::init([](const Integer& size, std::vector<dfa::LatticeStage> stages, const Integer& num_stochastic,
                       std::uint64_t seed, const Integer& threads, double slack) {
             const std::size_t num_drawn = checked_size(num_stochastic, "num_stochastic", 0, kMostStochastic);
             dfa::LatticePlan plan{std::move(stages), static_cast<std::uint32_t>(num_drawn)};
             return std::make_unique<HeldLatticeBatch>(checked_size(size, "size", 1, INT32_MAX), std::move(plan), seed,
                                                       checked_threads(threads), slack);
           }),
           py::kw_only(), "size"_a, "stages"_a, "num_stochastic"_a, "seed"_a, "threads"_a, "slack"_a)
      .def("add", exclusive<HeldLatticeBatch>(&add_lattices), "levels"_a, "originals"_a, "epsilons"_a, "ids"_a)
      .def("remove", exclusive<HeldLatticeBatch>(&dfa::LatticeBatch::remove), "slot"_a)
      .def("num_free", exclusive<HeldLatticeBatch>(+[](dfa::LatticeBatch& batch, std::size_t slot) {
             return batch.search(slot).box().num_free();
           }),
           "slot"_a)
      .def("propose", exclusive<HeldLatticeBatch>(&propose_lattices), "slots"_a, "images"_a.noconvert())
      .def("tell", exclusive<HeldLatticeBatch>(&tell_lattices), "slots"_a, "degrees"_a)
      .def("__len__", exclusive<HeldLatticeBatch>(&dfa::LatticeBatch::num_searches));
}

}  // namespace bindings
