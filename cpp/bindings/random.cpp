#include "dfa/base/random.hpp"

#include <cstdint>
#include <stdexcept>

#include "arrays.hpp"
#include "bind.hpp"

namespace bindings {

using namespace pybind11::literals;

void bind_random(py::module_& module) {
  py::class_<dfa::Stream>(module, "Stream")
      .def(py::init([](std::uint64_t seed, std::uint32_t image, std::uint32_t iteration, std::uint32_t candidate) {
             return dfa::Stream({seed, image, iteration, candidate});
           }),
           "seed"_a, "image_id"_a, "iteration"_a, "candidate"_a)
      .def("next", &dfa::Stream::next)
      .def(
          "below",
          [](dfa::Stream& stream, std::uint32_t n) {
            if (n == 0) {
              throw std::invalid_argument("n must be at least 1, got 0");
            }
            return stream.below(n);
          },
          "n"_a);
  module.def("philox", &dfa::philox, "counter"_a, "key"_a);
}

}  // namespace bindings
