#pragma once

#include <pybind11/pybind11.h>

#include <cstddef>
#include <optional>

// Each converts arguments, releases the GIL and calls the core. No logic.

namespace bindings {

/// Lets Python's other threads run beside the core, which touches no Python object, where it works on so many values
/// that it takes a while. What is done within microseconds is done before the GIL could be had again, which many
/// threads of a service may wait for.
class Released {
 public:
  explicit Released(std::size_t values) {
    if (values >= kWorthIt) {
      release_.emplace();
    }
  }

 private:
  static constexpr std::size_t kWorthIt = 1U << 15U;

  std::optional<pybind11::gil_scoped_release> release_;
};

void bind_config(pybind11::module_& module);
void bind_spaces(pybind11::module_& module);
void bind_archive(pybind11::module_& module);
void bind_curriculum(pybind11::module_& module);
void bind_batch(pybind11::module_& module);
void bind_places(pybind11::module_& module);
void bind_lattice(pybind11::module_& module);
void bind_random(pybind11::module_& module);

}  // namespace bindings
