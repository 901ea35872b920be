#include <pybind11/pybind11.h>

#include "bind.hpp"
#include "dfa/base/state.hpp"
#include "dfa/search/texture.hpp"

namespace py = pybind11;

namespace {

py::dict build_info() {
  py::dict info;
  info["compiler"] = DFA_COMPILER;
  info["build_type"] = DFA_BUILD_TYPE;
#ifdef _OPENMP
  info["openmp"] = _OPENMP;
#else
  info["openmp"] = 0;
#endif
#ifdef NDEBUG
  info["assertions"] = false;
#else
  info["assertions"] = true;
#endif
#ifdef __SANITIZE_ADDRESS__
  info["sanitized"] = true;
#endif
  return info;
}

}  // namespace

PYBIND11_MODULE(_core, module) {
  module.doc() = "Integer black-box optimizer for many images at once: ask for uint8 candidates, tell their degrees.";

  bindings::bind_config(module);
  bindings::bind_spaces(module);
  bindings::bind_archive(module);
  bindings::bind_curriculum(module);
  bindings::bind_batch(module);
  bindings::bind_places(module);
  bindings::bind_lattice(module);
  bindings::bind_random(module);

  module.def("build_info", &build_info);
  module.attr("NUM_TEXTURED_STARTS") = dfa::kNumTexturedStarts;
  module.attr("STATE_VERSION") = dfa::kStateVersion;
  module.attr("__version__") = DFA_VERSION;
}
