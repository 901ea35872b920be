#include "dfa/search/config.hpp"

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "arrays.hpp"
#include "bind.hpp"
#include "dfa/base/names.hpp"

namespace bindings {

using namespace pybind11::literals;

namespace {

template <typename Enum>
py::tuple choices() {
  const auto names = dfa::names_of(Enum());
  py::tuple tuple(names.size());
  for (std::size_t i = 0; i < names.size(); ++i) {
    tuple[i] = names[i];
  }
  return tuple;
}

}  // namespace

void bind_config(py::module_& module) {
  py::class_<dfa::Config>(module, "Config")
      .def(
          py::init([](std::uint32_t samples, std::uint32_t positives, std::uint32_t coordinates,
                      const std::string& region, const std::string& shape, const std::string& values,
                      const std::string& start, const std::string& domain, const std::string& ties, double window_share,
                      std::vector<std::uint64_t> window_halvings, std::uint32_t placements, std::uint32_t starts,
                      std::uint32_t restart_after, double rest_ratio, double improvements, bool prior) {
            dfa::Config config{samples,
                               positives,
                               coordinates,
                               dfa::named<dfa::Region>("region", region),
                               dfa::named<dfa::Shape>("shape", shape),
                               dfa::named<dfa::Values>("values", values),
                               dfa::named<dfa::Start>("start", start),
                               dfa::named<dfa::Domain>("domain", domain),
                               dfa::named<dfa::Ties>("ties", ties),
                               window_share,
                               std::move(window_halvings),
                               placements,
                               starts,
                               restart_after,
                               rest_ratio,
                               improvements,
                               prior};
            dfa::validate(config);
            return config;
          }),
          py::kw_only(), "samples"_a, "positives"_a, "coordinates"_a, "region"_a, "shape"_a, "values"_a, "start"_a,
          "domain"_a, "ties"_a, "window_share"_a, "window_halvings"_a, "placements"_a, "starts"_a, "restart_after"_a,
          "rest_ratio"_a, "improvements"_a, "prior"_a = false)
      .def_property_readonly("population", &dfa::Config::population);

  py::dict choices_by_name;
  choices_by_name["region"] = choices<dfa::Region>();
  choices_by_name["shape"] = choices<dfa::Shape>();
  choices_by_name["values"] = choices<dfa::Values>();
  choices_by_name["start"] = choices<dfa::Start>();
  choices_by_name["domain"] = choices<dfa::Domain>();
  choices_by_name["ties"] = choices<dfa::Ties>();
  module.attr("CHOICES") = choices_by_name;
}

}  // namespace bindings
