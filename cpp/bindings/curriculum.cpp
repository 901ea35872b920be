#include "dfa/batch/curriculum.hpp"

#include <cstdint>
#include <memory>
#include <optional>

#include "arrays.hpp"
#include "bind.hpp"
#include "in_use.hpp"
#include "integers.hpp"

namespace bindings {

using namespace pybind11::literals;

void bind_curriculum(py::module_& module) {
  py::class_<HeldCurriculum>(module, "Curriculum")
      .def(py::init([](const Integer& num_coordinates) {
             return std::make_unique<HeldCurriculum>(checked_coordinates(num_coordinates, "num_coordinates"));
           }),
           "num_coordinates"_a)
      .def_static(
          "capacity",
          [](const Integer& num_coordinates) {
            return dfa::Curriculum::capacity(checked_coordinates(num_coordinates, "num_coordinates"));
          },
          "num_coordinates"_a)
      .def_property_readonly("now", exclusive<HeldCurriculum>(&dfa::Curriculum::now))
      .def("has_room", exclusive<HeldCurriculum>(&dfa::Curriculum::has_room))
      .def("plan",
           exclusive<HeldCurriculum>(+[](dfa::Curriculum& curriculum, std::int64_t goal, double scale,
                                         const std::optional<Array<std::uint8_t>>& prior) {
             return curriculum.plan(goal, scale, shared_signs(prior));
           }),
           "goal"_a, "scale"_a, "prior"_a = py::none())
      .def("advance", exclusive<HeldCurriculum>(&dfa::Curriculum::advance));
}

}  // namespace bindings
