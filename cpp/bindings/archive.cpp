#include "dfa/batch/archive.hpp"

#include <string>

#include "arrays.hpp"
#include "bind.hpp"
#include "integers.hpp"

namespace bindings {

using namespace pybind11::literals;

void bind_archive(py::module_& module) {
  py::class_<dfa::Plan>(module, "Plan").def_property_readonly("num_starts", [](const dfa::Plan& plan) {
    return plan.starts.size();
  });
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
      .def("plan", &dfa::Archive::plan, "goal"_a, "scale"_a)
      .def("learn", &dfa::Archive::learn, "goal"_a, "lesson"_a)
      .def("save", [](const dfa::Archive& archive) { return py::bytes(archive.save()); })
      .def_static(
          "load", [](const py::bytes& state) { return dfa::Archive::load(std::string(state)); }, "state"_a)
      .def("__len__", &dfa::Archive::size);
}

}  // namespace bindings
