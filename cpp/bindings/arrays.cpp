#include "arrays.hpp"

#include <algorithm>
#include <stdexcept>

namespace bindings {

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

std::vector<std::int16_t> to_vector(const Array<std::int16_t>& array) {
  return {array.data(), array.data() + array.size()};
}

dfa::Signs to_signs(const Array<std::uint8_t>& raised) {
  const auto size = static_cast<std::size_t>(raised.size());
  dfa::Signs signs(dfa::num_words(size), 0);
  for (std::size_t p = 0; p < size; ++p) {
    if (raised.data()[p] != 0) {
      signs[p / 64U] |= std::uint64_t{1} << (p % 64U);
    }
  }
  return signs;
}

dfa::Signs checked_signs(const Array<std::uint8_t>& raised, const dfa::ImageShape& shape) {
  if (raised.ndim() != 3 || raised.shape(0) != shape.height || raised.shape(1) != shape.width ||
      raised.shape(2) != shape.channels) {
    throw std::invalid_argument("signs must have shape (" + std::to_string(shape.height) + "," +
                                std::to_string(shape.width) + "," + std::to_string(shape.channels) + "), got " +
                                describe(raised));
  }
  return to_signs(raised);
}

std::shared_ptr<const dfa::Signs> shared_signs(const std::optional<Array<std::uint8_t>>& raised) {
  return raised ? std::make_shared<const dfa::Signs>(to_signs(*raised)) : nullptr;
}

Array<std::int16_t> to_array(const std::vector<std::int16_t>& values) {
  Array<std::int16_t> array(static_cast<py::ssize_t>(values.size()));
  std::copy(values.begin(), values.end(), array.mutable_data());
  return array;
}

std::uint8_t* checked_images(const Array<std::uint8_t>& images, std::size_t num_rows, const dfa::ImageShape& shape) {
  if (images.ndim() != 4 || static_cast<std::size_t>(images.shape(0)) < num_rows || images.shape(1) != shape.height ||
      images.shape(2) != shape.width || images.shape(3) != shape.channels) {
    throw std::invalid_argument("images must hold at least " + std::to_string(num_rows) + " rows of shape (" +
                                std::to_string(shape.height) + "," + std::to_string(shape.width) + "," +
                                std::to_string(shape.channels) + "), got " + describe(images));
  }
  return const_cast<std::uint8_t*>(images.data());
}

std::uint8_t* writeable_images(const Array<std::uint8_t>& images, std::size_t num_rows, const dfa::ImageShape& shape) {
  std::uint8_t* data = checked_images(images, num_rows, shape);
  if (!images.writeable()) {
    throw std::invalid_argument("images must be writeable");
  }
  return data;
}

}  // namespace bindings
