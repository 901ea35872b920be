#include "integers.hpp"

#include <cstdint>
#include <stdexcept>
#include <string>

namespace bindings {

std::size_t checked_size(const Integer& value, const char* name, std::size_t least, std::size_t most) {
  int is_beyond = 0;
  const long long number = PyLong_AsLongLongAndOverflow(value.ptr(), &is_beyond);
  if (is_beyond != 0 || number < 0 || static_cast<unsigned long long>(number) < least ||
      static_cast<unsigned long long>(number) > most) {
    throw std::invalid_argument(std::string(name) + " must be in " + std::to_string(least) + ".." +
                                std::to_string(most) + ", got " + std::string(py::str(value)));
  }
  return static_cast<std::size_t>(number);
}

std::size_t checked_coordinates(const Integer& value, const char* name) {
  return checked_size(value, name, 0, INT32_MAX);
}

int checked_threads(const Integer& value) { return static_cast<int>(checked_size(value, "threads", 1, 1024)); }

}  // namespace bindings
