#pragma once

// Numbers that decide how much memory or time is taken: as Python has them, held to a range before they are cast.

#include <pybind11/pybind11.h>

#include <cstddef>
#include <utility>

namespace bindings {

namespace py = pybind11;

/// An integer of Python, however large: what an `int` or a NumPy integer is passed as.
class Integer : public py::int_ {
 public:
  using py::int_::int_;
  Integer(py::int_ value) : py::int_(std::move(value)) {}  // NOLINT: an integer is one
};

/// The integer as a size. Throws std::invalid_argument, which names the argument, unless it is in least..most.
std::size_t checked_size(const Integer& value, const char* name, std::size_t least, std::size_t most);

/// Coordinates of images or vectors.
std::size_t checked_coordinates(const Integer& value, const char* name);
/// Threads that a call may take: beyond so many the system ends the process instead of starting them.
int checked_threads(const Integer& value);

}  // namespace bindings

template <>
struct pybind11::detail::pyobject_caster<bindings::Integer> {
  PYBIND11_TYPE_CASTER(bindings::Integer, const_name("typing.SupportsIndex"));

  bool load(handle source, bool) {
    if (!source || PyIndex_Check(source.ptr()) == 0) {
      return false;
    }
    auto integer = reinterpret_steal<int_>(PyNumber_Index(source.ptr()));
    if (!integer) {
      PyErr_Clear();
      return false;
    }
    value = bindings::Integer(std::move(integer));
    return true;
  }

  static handle cast(const handle& integer, return_value_policy, handle) { return integer.inc_ref(); }
};
