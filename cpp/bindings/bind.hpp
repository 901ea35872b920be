#pragma once

#include <pybind11/pybind11.h>

// Each converts arguments, releases the GIL and calls the core. No logic.

namespace bindings {

void bind_config(pybind11::module_& module);
void bind_spaces(pybind11::module_& module);
void bind_archive(pybind11::module_& module);
void bind_curriculum(pybind11::module_& module);
void bind_batch(pybind11::module_& module);
void bind_places(pybind11::module_& module);
void bind_lattice(pybind11::module_& module);
void bind_random(pybind11::module_& module);

}  // namespace bindings
