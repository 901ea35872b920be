#include "dfa/batch/archive.hpp"

#include <cstdint>
#include <optional>
#include <string>

#include "arrays.hpp"
#include "bind.hpp"
#include "integers.hpp"

namespace bindings {

using namespace pybind11::literals;

// Far above what any search begins with.
constexpr std::size_t kMostStarts = 1U << 21U;

void bind_archive(py::module_& module) {
  py::class_<dfa::Plan>(module, "Plan")
      .def_static(
          "alone",
          [](const Integer& num_starts, const std::optional<Array<std::uint8_t>>& prior) {
            dfa::Plan plan = dfa::plan_alone(checked_size(num_starts, "num_starts", 0, kMostStarts));
            if (prior) {
              plan.starts.insert(plan.starts.begin(), dfa::prior_start(shared_signs(prior)));
            }
            return plan;
          },
          "num_starts"_a, "prior"_a = py::none())
      .def_property_readonly("num_starts", [](const dfa::Plan& plan) { return plan.starts.size(); });
  py::class_<dfa::Lesson>(module, "Lesson")
      .def_readonly_static("CANDIDATES", &dfa::Lesson::kCandidates)
      .def("save", [](const dfa::Lesson& lesson) { return py::bytes(lesson.save()); })
      .def_static(
          "load",
          [](const Integer& num_coordinates, const py::bytes& state) {
            return dfa::Lesson::load(checked_coordinates(num_coordinates, "num_coordinates"), std::string(state));
          },
          "num_coordinates"_a, "state"_a);
  py::class_<dfa::Archive>(module, "Archive")
      .def(py::init([](const Integer& num_coordinates) {
             return dfa::Archive(checked_coordinates(num_coordinates, "num_coordinates"));
           }),
           "num_coordinates"_a)
      .def(
          "plan",
          [](const dfa::Archive& archive, std::int64_t goal, double scale,
             const std::optional<Array<std::uint8_t>>& prior) {
            return archive.plan(goal, scale, shared_signs(prior));
          },
          "goal"_a, "scale"_a, "prior"_a = py::none())
      .def("learn", &dfa::Archive::learn, "goal"_a, "lesson"_a)
      .def("save", [](const dfa::Archive& archive) { return py::bytes(archive.save()); })
      .def_static(
          "load", [](const py::bytes& state) { return dfa::Archive::load(std::string(state)); }, "state"_a)
      .def("__len__", &dfa::Archive::size);
}

}  // namespace bindings
