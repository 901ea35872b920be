#include "spaces.hpp"

#include <memory>
#include <stdexcept>
#include <string>

#include "bind.hpp"

namespace bindings {

using namespace pybind11::literals;

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

void bind_spaces(py::module_& module) {
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
}

}  // namespace bindings
