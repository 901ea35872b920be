#include "dfa/batch/curriculum.hpp"

#include <cstddef>

#include "arrays.hpp"
#include "bind.hpp"

namespace bindings {

using namespace pybind11::literals;

void bind_curriculum(py::module_& module) {
  py::class_<dfa::Curriculum>(module, "Curriculum")
      .def(py::init<std::size_t>(), "num_coordinates"_a)
      .def_static("capacity", &dfa::Curriculum::capacity, "num_coordinates"_a)
      .def_property_readonly("now", &dfa::Curriculum::now)
      .def("has_room", &dfa::Curriculum::has_room)
      .def("plan", &dfa::Curriculum::plan, "goal"_a, "scale"_a)
      .def("advance", &dfa::Curriculum::advance);
}

}  // namespace bindings
