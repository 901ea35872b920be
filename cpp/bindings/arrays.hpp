#pragma once

// What crosses the border: arrays of Python, held to their types and shapes, and what the core makes of them.

#include <pybind11/numpy.h>
#include <pybind11/pybind11.h>
#include <pybind11/stl.h>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

#include "dfa/base/image.hpp"
#include "dfa/space/signs.hpp"

namespace bindings {

namespace py = pybind11;

/// A C-contiguous array whose values stand where their type may stand. What is passed for it is converted where that
/// cannot lose values, and refused otherwise.
template <typename T>
class Array : public py::array_t<T, py::array::c_style | py::detail::npy_api::NPY_ARRAY_ALIGNED_> {
 public:
  using Base = py::array_t<T, py::array::c_style | py::detail::npy_api::NPY_ARRAY_ALIGNED_>;
  using Base::Base;
  Array(Base base) : Base(std::move(base)) {}  // NOLINT: an array is one
};

using ShapeTuple = std::tuple<std::uint32_t, std::uint32_t, std::uint32_t>;

dfa::ImageShape to_shape(const ShapeTuple& shape);
/// An array's shape, for messages.
std::string describe(const py::array& array);
std::vector<std::uint8_t> to_bytes(const Array<std::uint8_t>& array);
std::vector<std::int16_t> to_vector(const Array<std::int16_t>& array);
/// Signs of a whole array: a coordinate that holds no 0 is raised.
dfa::Signs to_signs(const Array<std::uint8_t>& raised);
/// The same of an array that must have the shape of an image.
dfa::Signs checked_signs(const Array<std::uint8_t>& raised, const dfa::ImageShape& shape);
/// The same of what may be None.
std::shared_ptr<const dfa::Signs> shared_signs(const std::optional<Array<std::uint8_t>>& raised);
Array<std::int16_t> to_array(const std::vector<std::int16_t>& values);

/// Where the images begin, which are at least so many of the shape.
std::uint8_t* checked_images(const Array<std::uint8_t>& images, std::size_t num_rows, const dfa::ImageShape& shape);
/// The same for images to be written.
std::uint8_t* writeable_images(const Array<std::uint8_t>& images, std::size_t num_rows, const dfa::ImageShape& shape);

}  // namespace bindings

// pybind11's own caster hands a Python list to NumPy with the wanted dtype, which cuts floats to integers. An array of
// the list's own dtype, without `forcecast`, is held to the rule of safe casts.
template <typename T>
struct pybind11::detail::pyobject_caster<bindings::Array<T>> {
  PYBIND11_TYPE_CASTER(bindings::Array<T>, handle_type_name<typename bindings::Array<T>::Base>::name);

  bool load(handle source, bool convert) {
    if (!convert && !bindings::Array<T>::Base::check_(source)) {
      return false;
    }
    const auto own = array::ensure(source);
    if (!own) {
      return false;
    }
    auto converted = bindings::Array<T>::Base::ensure(own);
    if (!converted) {
      return false;
    }
    value = bindings::Array<T>(std::move(converted));
    return true;
  }

  static handle cast(const handle& array, return_value_policy, handle) { return array.inc_ref(); }
};
