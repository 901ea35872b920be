#include "dfa/batch/places.hpp"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include "arrays.hpp"
#include "bind.hpp"
#include "in_use.hpp"
#include "integers.hpp"

namespace bindings {

using namespace pybind11::literals;

namespace {

/// Whatever works on places works on their batch too, and may on their curriculum.
class HeldPlaces : public dfa::Places {
 public:
  HeldPlaces(HeldBatch& batch, HeldCurriculum* curriculum, std::size_t capacity, std::size_t batch_size,
             const dfa::Budget& budget)
      : dfa::Places(batch, curriculum, capacity, batch_size, budget), batch_(batch), curriculum_(curriculum) {}

  class Holds {
   public:
    explicit Holds(HeldPlaces& places)
        : batch_(places.batch_.hold()),
          curriculum_(places.curriculum_ != nullptr ? places.curriculum_->hold() : Hold()) {}

   private:
    Hold batch_;
    Hold curriculum_;
  };
  Holds hold() { return Holds(*this); }

 private:
  HeldBatch& batch_;
  HeldCurriculum* curriculum_;
};

// Far below what a size can be.
constexpr std::size_t kMostRows = INT32_MAX;

py::tuple propose(dfa::Places& places, const Array<std::uint8_t>& images, const std::optional<Integer>& most) {
  const std::size_t most_rows = most ? checked_size(*most, "most", 1, places.batch_size()) : places.batch_size();
  std::uint8_t* data = writeable_images(images, places.batch_size(), places.shape());
  bool is_empty = false;
  {
    const Released released(std::min(most_rows, places.num_ready()) * places.shape().size());
    is_empty = places.propose(data, most_rows) == 0;
  }
  if (is_empty) {
    return py::make_tuple(Array<std::int64_t>(0), Array<std::int64_t>(0));
  }
  Array<std::int64_t> indices(static_cast<py::ssize_t>(places.num_proposed()));
  Array<std::int64_t> goals(static_cast<py::ssize_t>(places.num_proposed()));
  places.describe_rows(indices.mutable_data(), goals.mutable_data());
  return py::make_tuple(indices, goals);
}

Array<std::uint8_t> best(dfa::Places& places, std::size_t place) {
  const dfa::ImageShape& shape = places.shape();
  Array<std::uint8_t> image({shape.height, shape.width, shape.channels});
  places.write_best(place, image.mutable_data());
  return image;
}

Array<std::uint8_t> row_of(dfa::Places& places, std::size_t row, std::size_t batch) {
  const dfa::ImageShape& shape = places.shape();
  Array<std::uint8_t> image({shape.height, shape.width, shape.channels});
  places.write_row(row, image.mutable_data(), batch);
  return image;
}

std::vector<std::size_t> tell_places(dfa::Places& places, const Array<double>& degrees, double seconds, double now,
                                     std::size_t batch) {
  const std::size_t num_rows = places.num_rows(batch);
  if (degrees.ndim() != 1 || degrees.shape(0) != static_cast<py::ssize_t>(num_rows)) {
    throw std::invalid_argument("expected one degree per row, (" + std::to_string(num_rows) + ",), got " +
                                describe(degrees));
  }
  const double* values = degrees.data();
  const Released released(static_cast<std::size_t>(degrees.size()) * places.shape().size());
  return places.tell(values, seconds, now, batch);
}

std::vector<std::pair<std::uint64_t, double>> trace(dfa::Places& places, std::size_t place) {
  std::vector<std::pair<std::uint64_t, double>> pairs;
  for (const dfa::Improvement& improvement : places.trace(place)) {
    pairs.emplace_back(improvement.query, improvement.degree);
  }
  return pairs;
}

py::object hit(dfa::Places& places, std::size_t place) {
  const std::vector<std::uint8_t>& pixels = places.hit(place);
  if (pixels.empty()) {
    return py::none();
  }
  const dfa::ImageShape& shape = places.shape();
  Array<std::uint8_t> image({shape.height, shape.width, shape.channels});
  std::copy(pixels.begin(), pixels.end(), image.mutable_data());
  return std::move(image);
}

}  // namespace

void bind_places(py::module_& module) {
  py::class_<HeldPlaces>(module, "Places")
      .def(py::init([](HeldBatch& batch, HeldCurriculum* curriculum, const Integer& capacity, const Integer& batch_size,
                       std::uint64_t max_queries, std::optional<std::uint64_t> max_iterations,
                       std::uint32_t give_up_after, const std::optional<Array<std::uint64_t>>& budgets,
                       double forecast) {
             dfa::Budget budget;
             budget.queries = max_queries;
             budget.iterations = max_iterations.value_or(budget.iterations);
             budget.give_up_after = give_up_after;
             budget.forecast = forecast;
             if (budgets) {
               if (budgets->ndim() != 1 || budgets->size() == 0) {
                 throw std::invalid_argument("expected one budget per image, (N,), got " + describe(*budgets));
               }
               budget.queries_of.assign(budgets->data(), budgets->data() + budgets->size());
             }
             return std::make_unique<HeldPlaces>(batch, curriculum,
                                                 checked_size(capacity, "capacity", 1, dfa::kMostPlaces),
                                                 checked_size(batch_size, "batch_size", 1, kMostRows), budget);
           }),
           py::keep_alive<1, 2>(), py::keep_alive<1, 3>(), "batch"_a, "curriculum"_a, "capacity"_a, "batch_size"_a,
           "max_queries"_a, "max_iterations"_a, "give_up_after"_a = 0, "budgets"_a = py::none(), "forecast"_a = 0.0)
      .def("admit", exclusive<HeldPlaces>(&dfa::Places::admit), "place"_a, "slot"_a, "image"_a, "goal"_a, "deadline"_a)
      .def("dismiss", exclusive<HeldPlaces>(&dfa::Places::dismiss), "place"_a)
      .def_property_readonly("capacity", exclusive<HeldPlaces>(&dfa::Places::capacity))
      .def_property_readonly("num_ready", exclusive<HeldPlaces>(&dfa::Places::num_ready))
      .def_property_readonly("num_again", exclusive<HeldPlaces>(&dfa::Places::num_again))
      .def("wanting_prior", exclusive<HeldPlaces>(&dfa::Places::wanting_prior))
      .def("best", exclusive<HeldPlaces>(&best), "place"_a)
      .def("give_prior",
           exclusive<HeldPlaces>(+[](dfa::Places& places, std::size_t place, const Array<std::uint8_t>& raised) {
             places.give_prior(place, checked_signs(raised, places.shape()));
           }),
           "place"_a, "raised"_a)
      .def("propose", exclusive<HeldPlaces>(&propose), "images"_a.noconvert(), "most"_a = py::none())
      .def("may_be_told", exclusive<HeldPlaces>(&dfa::Places::may_be_told), "batch"_a)
      .def("row", exclusive<HeldPlaces>(&row_of), "row"_a, "batch"_a = 0)
      .def("tell", exclusive<HeldPlaces>(&tell_places), "degrees"_a, "seconds"_a, "now"_a, "batch"_a = 0)
      .def("save", exclusive<HeldPlaces>(+[](dfa::Places& places, double now) { return py::bytes(places.save(now)); }),
           "now"_a)
      .def("load", exclusive<HeldPlaces>(+[](dfa::Places& places, const py::bytes& state, double now) {
             places.load(std::string(state), now);
           }),
           "state"_a, "now"_a)
      .def("iteration", exclusive<HeldPlaces>(&dfa::Places::iteration), "place"_a)
      .def("spent", exclusive<HeldPlaces>(&dfa::Places::spent), "place"_a)
      .def("slot", exclusive<HeldPlaces>(&dfa::Places::slot), "place"_a)
      .def("answered", exclusive<HeldPlaces>(&dfa::Places::answered), "place"_a)
      .def("is_at_rest", exclusive<HeldPlaces>(&dfa::Places::is_at_rest), "place"_a)
      .def("seconds", exclusive<HeldPlaces>(&dfa::Places::seconds), "place"_a)
      .def("trace", exclusive<HeldPlaces>(&trace), "place"_a)
      .def("hit", exclusive<HeldPlaces>(&hit), "place"_a)
      .def("hit_vector", exclusive<HeldPlaces>(+[](dfa::Places& places, std::size_t place) {
             return to_array(places.hit_vector(place));
           }),
           "place"_a);
}

}  // namespace bindings
