#include "dfa/search/config.hpp"

#include <pybind11/native_enum.h>

#include <cstdint>
#include <utility>
#include <vector>

#include "arrays.hpp"
#include "bind.hpp"

namespace bindings {

using namespace pybind11::literals;

void bind_config(py::module_& module) {
  py::native_enum<dfa::Region>(module, "Region", "enum.Enum")
      .value("NONE", dfa::Region::kNone)
      .value("ORDERED", dfa::Region::kOrdered)
      .value("PER_COORDINATE", dfa::Region::kPerCoordinate)
      .finalize();
  py::native_enum<dfa::Shape>(module, "Shape", "enum.Enum")
      .value("SCATTERED", dfa::Shape::kScattered)
      .value("WINDOW", dfa::Shape::kWindow)
      .finalize();
  py::native_enum<dfa::Values>(module, "Values", "enum.Enum")
      .value("UNIFORM", dfa::Values::kUniform)
      .value("EXTREMES", dfa::Values::kExtremes)
      .value("TEXTURES", dfa::Values::kTextures)
      .finalize();
  py::native_enum<dfa::Start>(module, "Start", "enum.Enum")
      .value("UNIFORM", dfa::Start::kUniform)
      .value("STRIPES", dfa::Start::kStripes)
      .value("TEXTURES", dfa::Start::kTextures)
      .finalize();
  py::native_enum<dfa::Domain>(module, "Domain", "enum.Enum")
      .value("BALL", dfa::Domain::kBall)
      .value("VALID", dfa::Domain::kValid)
      .finalize();
  py::native_enum<dfa::Ties>(module, "Ties", "enum.Enum")
      .value("OLDER", dfa::Ties::kOlder)
      .value("NEWER", dfa::Ties::kNewer)
      .finalize();

  py::class_<dfa::Config>(module, "Config")
      .def(py::init([](std::uint32_t samples, std::uint32_t positives, std::uint32_t coordinates, dfa::Region region,
                       dfa::Shape shape, dfa::Values values, dfa::Start start, dfa::Domain domain, dfa::Ties ties,
                       double window_share, std::vector<std::uint64_t> window_halvings, std::uint32_t placements,
                       std::uint32_t starts, std::uint32_t restart_after, double rest_ratio) {
             dfa::Config config{samples,
                                positives,
                                coordinates,
                                region,
                                shape,
                                values,
                                start,
                                domain,
                                ties,
                                window_share,
                                std::move(window_halvings),
                                placements,
                                starts,
                                restart_after,
                                rest_ratio};
             dfa::validate(config);
             return config;
           }),
           py::kw_only(), "samples"_a, "positives"_a, "coordinates"_a, "region"_a, "shape"_a, "values"_a, "start"_a,
           "domain"_a, "ties"_a, "window_share"_a, "window_halvings"_a, "placements"_a, "starts"_a, "restart_after"_a,
           "rest_ratio"_a)
      .def_property_readonly("population", &dfa::Config::population);
}

}  // namespace bindings
