// The only file that knows Python: converts arguments, releases the GIL, calls the core. No logic.

#include <pybind11/native_enum.h>
#include <pybind11/numpy.h>
#include <pybind11/pybind11.h>
#include <pybind11/stl.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "dfa/base/random.hpp"
#include "dfa/batch/archive.hpp"
#include "dfa/batch/batch.hpp"
#include "dfa/batch/places.hpp"
#include "dfa/lattice/lattice.hpp"
#include "dfa/space/box.hpp"

namespace py = pybind11;
using namespace pybind11::literals;

namespace {

/// A C-contiguous array. What is passed for it is converted where that cannot lose values, and refused otherwise.
template <typename T>
class Array : public py::array_t<T, py::array::c_style> {
 public:
  using Base = py::array_t<T, py::array::c_style>;
  using Base::Base;
  Array(Base base) : Base(std::move(base)) {}  // NOLINT: an array is one
};

}  // namespace

// pybind11's own caster hands a Python list to NumPy with the wanted dtype, which cuts floats to integers. An array of
// the list's own dtype, without `forcecast`, is held to the rule of safe casts.
template <typename T>
struct pybind11::detail::pyobject_caster<Array<T>> {
  PYBIND11_TYPE_CASTER(Array<T>, handle_type_name<typename Array<T>::Base>::name);

  bool load(handle source, bool convert) {
    if (!convert && !Array<T>::Base::check_(source)) {
      return false;
    }
    const auto own = array::ensure(source);
    if (!own) {
      return false;
    }
    auto converted = Array<T>::Base::ensure(own);
    if (!converted) {
      return false;
    }
    value = Array<T>(std::move(converted));
    return true;
  }

  static handle cast(const handle& array, return_value_policy, handle) { return array.inc_ref(); }
};

namespace {

using ShapeTuple = std::tuple<std::uint32_t, std::uint32_t, std::uint32_t>;
/// What an original needs to be a space: one radius, one per coordinate, or a box with its renderer.
using Limits = std::variant<std::uint8_t, std::shared_ptr<dfa::RadiusMap>, std::shared_ptr<dfa::Box>>;

dfa::ImageShape to_shape(const ShapeTuple& shape) {
  return {std::get<0>(shape), std::get<1>(shape), std::get<2>(shape)};
}

std::string describe(const py::array& array) {
  std::string text = "(";
  for (py::ssize_t i = 0; i < array.ndim(); ++i) {
    text += std::to_string(array.shape(i)) + ",";
  }
  return text + ")";
}

std::vector<std::uint8_t> to_bytes(const Array<std::uint8_t>& array) {
  return {array.data(), array.data() + array.size()};
}

dfa::Space to_space(const dfa::ImageShape& shape, const Array<std::uint8_t>& original, const Limits& limits,
                    dfa::Domain domain) {
  if (original.ndim() != 3 || original.shape(0) != shape.height || original.shape(1) != shape.width ||
      original.shape(2) != shape.channels) {
    throw std::invalid_argument("expected an original of shape (" + std::to_string(shape.height) + "," +
                                std::to_string(shape.width) + "," + std::to_string(shape.channels) + "), got " +
                                describe(original));
  }
  if (const auto* box = std::get_if<std::shared_ptr<dfa::Box>>(&limits)) {
    return {to_bytes(original), *box};
  }
  if (const auto* radii = std::get_if<std::shared_ptr<dfa::RadiusMap>>(&limits)) {
    return {to_bytes(original), *radii, domain};
  }
  return {to_bytes(original), std::get<std::uint8_t>(limits), domain};
}

std::vector<std::int16_t> to_vector(const Array<std::int16_t>& array) {
  return {array.data(), array.data() + array.size()};
}

Array<std::int16_t> to_array(const std::vector<std::int16_t>& values) {
  Array<std::int16_t> array(static_cast<py::ssize_t>(values.size()));
  std::copy(values.begin(), values.end(), array.mutable_data());
  return array;
}

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

void ask(dfa::Batch& batch, const Array<std::int64_t>& slots, const Array<std::int64_t>& candidates,
         const Array<std::uint8_t>& images) {
  const std::vector<dfa::Row> rows = to_rows(slots, candidates);
  const dfa::ImageShape& shape = batch.shape();
  if (images.ndim() != 4 || images.shape(0) < static_cast<py::ssize_t>(rows.size()) ||
      images.shape(1) != shape.height || images.shape(2) != shape.width || images.shape(3) != shape.channels) {
    throw std::invalid_argument("images must hold at least " + std::to_string(rows.size()) + " rows of shape (" +
                                std::to_string(shape.height) + "," + std::to_string(shape.width) + "," +
                                std::to_string(shape.channels) + "), got " + describe(images));
  }
  if (!images.writeable()) {
    throw std::invalid_argument("images must be writeable");
  }
  auto* data = const_cast<std::uint8_t*>(images.data());
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
  if (images.ndim() < 1 || images.shape(0) < slots.size() ||
      images.size() != images.shape(0) * static_cast<py::ssize_t>(batch.size()) || !images.writeable()) {
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

std::uint8_t* checked_images(const dfa::Places& places, const Array<std::uint8_t>& images) {
  const dfa::ImageShape& shape = places.shape();
  if (images.ndim() != 4 || images.shape(0) < static_cast<py::ssize_t>(places.batch_size()) ||
      images.shape(1) != shape.height || images.shape(2) != shape.width || images.shape(3) != shape.channels) {
    throw std::invalid_argument("images must hold at least " + std::to_string(places.batch_size()) +
                                " rows of shape (" + std::to_string(shape.height) + "," + std::to_string(shape.width) +
                                "," + std::to_string(shape.channels) + "), got " + describe(images));
  }
  return const_cast<std::uint8_t*>(images.data());
}

py::tuple propose(dfa::Places& places, const Array<std::uint8_t>& images) {
  std::uint8_t* data = checked_images(places, images);
  if (!images.writeable()) {
    throw std::invalid_argument("images must be writeable");
  }
  {
    const py::gil_scoped_release release;  // the core touches no Python object
    places.propose(data);
  }
  Array<std::int64_t> indices(static_cast<py::ssize_t>(places.num_rows()));
  Array<std::int64_t> goals(static_cast<py::ssize_t>(places.num_rows()));
  places.describe_rows(indices.mutable_data(), goals.mutable_data());
  return py::make_tuple(indices, goals);
}

std::vector<std::size_t> tell_places(dfa::Places& places, const Array<double>& degrees,
                                     const Array<std::uint8_t>& images, double seconds, double now) {
  if (degrees.ndim() != 1 || degrees.shape(0) != static_cast<py::ssize_t>(places.num_rows())) {
    throw std::invalid_argument("expected one degree per row, (" + std::to_string(places.num_rows()) + ",), got " +
                                describe(degrees));
  }
  const std::uint8_t* data = checked_images(places, images);
  const double* values = degrees.data();
  const py::gil_scoped_release release;  // the core touches no Python object
  return places.tell(values, data, seconds, now);
}

std::vector<std::pair<std::uint64_t, double>> trace(const dfa::Places& places, std::size_t place) {
  std::vector<std::pair<std::uint64_t, double>> pairs;
  for (const dfa::Improvement& improvement : places.trace(place)) {
    pairs.emplace_back(improvement.query, improvement.degree);
  }
  return pairs;
}

py::object hit(const dfa::Places& places, std::size_t place) {
  const std::vector<std::uint8_t>& pixels = places.hit(place);
  if (pixels.empty()) {
    return py::none();
  }
  const dfa::ImageShape& shape = places.shape();
  Array<std::uint8_t> image({shape.height, shape.width, shape.channels});
  std::copy(pixels.begin(), pixels.end(), image.mutable_data());
  return std::move(image);
}

py::tuple population(const dfa::Batch& batch, std::size_t slot) {
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
                              const Array<std::int32_t>& members, std::uint64_t seed, std::uint32_t count) {
  const dfa::ImageShape shape = to_shape(shape_tuple);
  if (members.ndim() != 2) {
    throw std::invalid_argument("members must have shape (s + k, coordinates), got " + describe(members));
  }
  std::vector<std::vector<std::int32_t>> vectors;
  for (py::ssize_t i = 0; i < members.shape(0); ++i) {
    const std::int32_t* row = members.data(i, 0);
    vectors.emplace_back(row, row + members.shape(1));
  }
  const auto drawn =
      dfa::Racos::draw_from(config, shape, to_space(shape, original, limits, config.domain), vectors, seed, count);
  Array<std::int32_t> result({static_cast<py::ssize_t>(count), members.shape(1)});
  for (std::size_t i = 0; i < drawn.size(); ++i) {
    std::copy(drawn[i].begin(), drawn[i].end(), result.mutable_data(static_cast<py::ssize_t>(i), 0));
  }
  return result;
}

py::dict build_info() {
  py::dict info;
  info["compiler"] = DFA_COMPILER;
  info["build_type"] = DFA_BUILD_TYPE;
#ifdef _OPENMP
  info["openmp"] = _OPENMP;
#else
  info["openmp"] = 0;
#endif
#ifdef NDEBUG
  info["assertions"] = false;
#else
  info["assertions"] = true;
#endif
  return info;
}

}  // namespace

PYBIND11_MODULE(_core, module) {
  module.doc() = "Integer black-box optimizer for many images at once: ask for uint8 candidates, tell their degrees.";

  py::native_enum<dfa::Region>(module, "Region", "enum.Enum")
      .value("NONE", dfa::Region::kNone)
      .value("ORDERED", dfa::Region::kOrdered)
      .value("PER_COORDINATE", dfa::Region::kPerCoordinate)
      .finalize();
  py::native_enum<dfa::Shape>(module, "Shape", "enum.Enum")
      .value("SCATTERED", dfa::Shape::kScattered)
      .value("WINDOW", dfa::Shape::kWindow)
      .finalize();
  py::native_enum<dfa::Values>(module, "Values", "enum.Enum")
      .value("UNIFORM", dfa::Values::kUniform)
      .value("EXTREMES", dfa::Values::kExtremes)
      .value("TEXTURES", dfa::Values::kTextures)
      .finalize();
  py::native_enum<dfa::Start>(module, "Start", "enum.Enum")
      .value("UNIFORM", dfa::Start::kUniform)
      .value("STRIPES", dfa::Start::kStripes)
      .value("TEXTURES", dfa::Start::kTextures)
      .finalize();
  py::native_enum<dfa::Domain>(module, "Domain", "enum.Enum")
      .value("BALL", dfa::Domain::kBall)
      .value("VALID", dfa::Domain::kValid)
      .finalize();
  py::native_enum<dfa::Ties>(module, "Ties", "enum.Enum")
      .value("OLDER", dfa::Ties::kOlder)
      .value("NEWER", dfa::Ties::kNewer)
      .finalize();

  py::class_<dfa::Config>(module, "Config")
      .def(py::init([](std::uint32_t samples, std::uint32_t positives, std::uint32_t coordinates, dfa::Region region,
                       dfa::Shape shape, dfa::Values values, dfa::Start start, dfa::Domain domain, dfa::Ties ties,
                       double window_share, std::vector<std::uint64_t> window_halvings, std::uint32_t placements,
                       std::uint32_t starts, std::uint32_t restart_after, double rest_ratio) {
             dfa::Config config{samples,
                                positives,
                                coordinates,
                                region,
                                shape,
                                values,
                                start,
                                domain,
                                ties,
                                window_share,
                                std::move(window_halvings),
                                placements,
                                starts,
                                restart_after,
                                rest_ratio};
             dfa::validate(config);
             return config;
           }),
           py::kw_only(), "samples"_a, "positives"_a, "coordinates"_a, "region"_a, "shape"_a, "values"_a, "start"_a,
           "domain"_a, "ties"_a, "window_share"_a, "window_halvings"_a, "placements"_a, "starts"_a, "restart_after"_a,
           "rest_ratio"_a)
      .def_property_readonly("population", &dfa::Config::population);

  py::class_<dfa::RadiusMap, std::shared_ptr<dfa::RadiusMap>>(module, "RadiusMap")
      .def(py::init([](const Array<std::uint8_t>& radii) { return std::make_shared<dfa::RadiusMap>(to_bytes(radii)); }),
           "radii"_a);

  py::class_<dfa::Box, std::shared_ptr<dfa::Box>>(module, "Box")
      .def(py::init([](const std::string& kind, const ShapeTuple& shape, const dfa::Parameters& parameters) {
             return std::make_shared<dfa::Box>(kind, to_shape(shape), parameters);
           }),
           "kind"_a, "shape"_a, "parameters"_a)
      .def(py::init([](const std::string& kind, const ShapeTuple& shape, const dfa::Parameters& parameters,
                       const Array<std::int16_t>& low, const Array<std::int16_t>& high) {
             return std::make_shared<dfa::Box>(kind, to_shape(shape), parameters, to_vector(low), to_vector(high));
           }),
           "kind"_a, "shape"_a, "parameters"_a, "low"_a, "high"_a)
      .def_property_readonly("low", [](const dfa::Box& box) { return to_array(box.low()); })
      .def_property_readonly("high", [](const dfa::Box& box) { return to_array(box.high()); });

  py::class_<dfa::Plan>(module, "Plan").def_property_readonly("num_starts", [](const dfa::Plan& plan) {
    return plan.starts.size();
  });
  py::class_<dfa::Lesson>(module, "Lesson")
      .def_readonly_static("QUERIES", &dfa::Lesson::kLessonQueries)
      .def("save",
           [](const dfa::Lesson& lesson) {
             dfa::StateWriter out;
             dfa::save_lesson(lesson, out);
             return py::bytes(out.bytes());
           })
      .def_static(
          "load",
          [](std::size_t num_coordinates, const py::bytes& state) {
            const std::string bytes(state);
            dfa::StateReader in(bytes);
            return dfa::load_lesson(num_coordinates, in);
          },
          "num_coordinates"_a, "state"_a);
  py::class_<dfa::Archive>(module, "Archive")
      .def(py::init<std::size_t>(), "num_coordinates"_a)
      .def("plan", &dfa::Archive::plan, "goal"_a, "scale"_a)
      .def("learn", &dfa::Archive::learn, "goal"_a, "lesson"_a)
      .def("save", [](const dfa::Archive& archive) { return py::bytes(archive.save()); })
      .def_static(
          "load", [](const py::bytes& state) { return dfa::Archive::load(std::string(state)); }, "state"_a)
      .def("__len__", &dfa::Archive::size);

  py::class_<dfa::Batch>(module, "Batch")
      .def(py::init([](const dfa::Config& config, const ShapeTuple& shape, std::uint64_t seed, int threads) {
             return std::make_unique<dfa::Batch>(config, to_shape(shape), seed, threads);
           }),
           "config"_a, "shape"_a, "seed"_a, "threads"_a)
      .def(
          "add",
          [](dfa::Batch& batch, const Array<std::uint8_t>& original, std::uint32_t image_id, const Limits& limits,
             const dfa::Plan* plan) {
            dfa::Space space = to_space(batch.shape(), original, limits, batch.config().domain);
            return plan == nullptr ? batch.add(std::move(space), image_id)
                                   : batch.add(std::move(space), image_id, *plan);
          },
          "original"_a, "image_id"_a, "limits"_a, "plan"_a = nullptr)
      .def(
          "lesson", [](const dfa::Batch& batch, std::size_t slot) { return batch.search(slot).lesson(); }, "slot"_a)
      .def("remove", &dfa::Batch::remove, "slot"_a)
      .def("ask", &ask, "slots"_a, "candidates"_a, "images"_a.noconvert())
      .def("tell", &tell, "slots"_a, "candidates"_a, "degrees"_a)
      .def(
          "iteration", [](const dfa::Batch& batch, std::size_t slot) { return batch.search(slot).iteration(); },
          "slot"_a)
      .def(
          "iteration_size",
          [](const dfa::Batch& batch, std::size_t slot) { return batch.search(slot).iteration_size(); }, "slot"_a)
      .def("population", &population, "slot"_a)
      .def(
          "save", [](const dfa::Batch& batch, std::size_t slot) { return py::bytes(batch.save(slot)); }, "slot"_a)
      .def(
          "load", [](dfa::Batch& batch, const py::bytes& state) { return batch.load(std::string(state)); }, "state"_a)
      .def("save_all", [](const dfa::Batch& batch) { return py::bytes(batch.save_all()); })
      .def(
          "load_all", [](dfa::Batch& batch, const py::bytes& state) { batch.load_all(std::string(state)); }, "state"_a)
      .def("__len__", &dfa::Batch::size);

  py::class_<dfa::Places>(module, "Places")
      .def(py::init([](dfa::Batch& batch, std::size_t capacity, std::size_t batch_size, std::uint64_t max_queries,
                       std::optional<std::uint64_t> max_iterations) {
             dfa::Limits limits;
             limits.queries = max_queries;
             limits.iterations = max_iterations.value_or(limits.iterations);
             return std::make_unique<dfa::Places>(batch, capacity, batch_size, limits);
           }),
           py::keep_alive<1, 2>(), "batch"_a, "capacity"_a, "batch_size"_a, "max_queries"_a, "max_iterations"_a)
      .def("admit", &dfa::Places::admit, "place"_a, "slot"_a, "image"_a, "goal"_a, "deadline"_a)
      .def("dismiss", &dfa::Places::dismiss, "place"_a)
      .def("propose", &propose, "images"_a.noconvert())
      .def("tell", &tell_places, "degrees"_a, "images"_a.noconvert(), "seconds"_a, "now"_a)
      .def(
          "save", [](const dfa::Places& places, double now) { return py::bytes(places.save(now)); }, "now"_a)
      .def(
          "load", [](dfa::Places& places, const py::bytes& state, double now) { places.load(std::string(state), now); },
          "state"_a, "now"_a)
      .def("iteration", &dfa::Places::iteration, "place"_a)
      .def("spent", &dfa::Places::spent, "place"_a)
      .def("slot", &dfa::Places::slot, "place"_a)
      .def("answered", &dfa::Places::answered, "place"_a)
      .def("seconds", &dfa::Places::seconds, "place"_a)
      .def("trace", &trace, "place"_a)
      .def("hit", &hit, "place"_a)
      .def(
          "hit_vector", [](const dfa::Places& places, std::size_t place) { return to_array(places.hit_vector(place)); },
          "place"_a);

  py::native_enum<dfa::LatticeStage>(module, "LatticeStage", "enum.Enum")
      .value("NEAREST", dfa::LatticeStage::kNearest)
      .value("OUTWARD", dfa::LatticeStage::kOutward)
      .value("STOCHASTIC", dfa::LatticeStage::kStochastic)
      .value("BLOCKS", dfa::LatticeStage::kBlocks)
      .value("COORDINATES", dfa::LatticeStage::kCoordinates)
      .finalize();
  py::class_<dfa::LatticeBatch>(module, "LatticeBatch")
      .def(py::init([](std::size_t size, std::vector<dfa::LatticeStage> stages, std::uint32_t num_stochastic,
                       std::uint64_t seed, int threads, double slack) {
             dfa::LatticePlan plan{std::move(stages), num_stochastic};
             return std::make_unique<dfa::LatticeBatch>(size, std::move(plan), seed, threads, slack);
           }),
           py::kw_only(), "size"_a, "stages"_a, "num_stochastic"_a, "seed"_a, "threads"_a, "slack"_a)
      .def("add", &add_lattices, "levels"_a, "originals"_a, "epsilons"_a, "ids"_a)
      .def("remove", &dfa::LatticeBatch::remove, "slot"_a)
      .def(
          "num_free",
          [](const dfa::LatticeBatch& batch, std::size_t slot) { return batch.search(slot).box().num_free(); },
          "slot"_a)
      .def("propose", &propose_lattices, "slots"_a, "images"_a.noconvert())
      .def("tell", &tell_lattices, "slots"_a, "degrees"_a)
      .def("__len__", &dfa::LatticeBatch::num_searches);

  py::class_<dfa::Stream>(module, "Stream")
      .def(py::init([](std::uint64_t seed, std::uint32_t image, std::uint32_t iteration, std::uint32_t candidate) {
             return dfa::Stream({seed, image, iteration, candidate});
           }),
           "seed"_a, "image_id"_a, "iteration"_a, "candidate"_a)
      .def("next", &dfa::Stream::next)
      .def(
          "below",
          [](dfa::Stream& stream, std::uint32_t n) {
            if (n == 0) {
              throw std::invalid_argument("n must be at least 1, got 0");
            }
            return stream.below(n);
          },
          "n"_a);

  module.def("philox", &dfa::philox, "counter"_a, "key"_a);
  module.def("draw_from", &draw_from, "config"_a, "shape"_a, "original"_a, "limits"_a, "members"_a, "seed"_a,
             "count"_a);
  module.def("build_info", &build_info);
  module.attr("NUM_TEXTURED_STARTS") = dfa::kNumTexturedStarts;
  module.attr("__version__") = DFA_VERSION;
}
