#include <doctest/doctest.h>

#include <cstddef>
#include <cstdint>
#include <limits>
#include <memory>
#include <stdexcept>
#include <string>
#include <vector>

#include "search/searches.hpp"
#include "states.hpp"
#include "support.hpp"

using namespace searches;
using states::lengthened;
using states::packed;
using states::part;
using states::patched;
using states::sealed;
using states::with_part;

namespace {

void check_same(const dfa::Racos& a, const dfa::Racos& b) {
  CHECK(a.iteration() == b.iteration());
  REQUIRE(a.population().size() == b.population().size());
  for (std::size_t rank = 0; rank < a.population().size(); ++rank) {
    const dfa::Member& x = a.population()[rank];
    const dfa::Member& y = b.population()[rank];
    CHECK(x.degree == y.degree);
    CHECK(x.birth == y.birth);
    REQUIRE((x.family == dfa::Member::kNoVector) == (y.family == dfa::Member::kNoVector));
    if (x.family != dfa::Member::kNoVector) {
      CHECK(support::whole_of(a.population(), x, a.space().size()) ==
            support::whole_of(b.population(), y, b.space().size()));
    }
  }
  CHECK(a.save() == b.save());
}

bool is_answered(dfa::Racos& search, std::uint32_t candidate) {
  try {
    search.tell(candidate, 0.0);
  } catch (const std::logic_error&) {
    return true;
  }
  search.retract(candidate);
  return false;
}

// Of the others, one whose iterations are of any size, and one that begins anew, also while something is merged.
std::vector<dfa::Config> configs_and_paced() {
  std::vector<dfa::Config> all = configs();
  all.push_back(all[1]);
  all.back().improvements = 2.0;
  all.back().starts = 9;
  all.push_back(all.back());
  all.back().improvements = 6.0;
  all.back().starts = 0;
  all.back().restart_after = 10;
  return all;
}

}  // namespace

TEST_CASE("a search loaded at any point is the search that was saved") {
  dfa::Scratch scratch;
  for (const dfa::Config& config : configs_and_paced()) {
    for (const std::uint8_t radius : {std::uint8_t{0}, std::uint8_t{20}, std::uint8_t{200}}) {
      dfa::Racos straight = make(config, radius);
      dfa::Racos saved = make(config, radius);
      for (int iteration = 0; iteration < 8; ++iteration) {
        const std::vector<Image> images = run_iteration(straight);
        for (std::uint32_t i = 0; i < images.size(); ++i) {
          saved = dfa::Racos::load(config, kShape, saved.save());  // with i of them told, which are not asked again
          CHECK(ask(saved, i) == images[i]);
          saved.tell(i, degree_of(images[i]));
        }
        saved = dfa::Racos::load(config, kShape, saved.save());
        REQUIRE(saved.is_complete());
        saved.advance(scratch);
        check_same(saved, straight);
      }
    }
  }
}

TEST_CASE("what was learned survives infinite and huge degrees, and can be saved") {
  dfa::Scratch scratch;
  const double infinity = std::numeric_limits<double>::infinity();
  const std::vector<double> degrees{infinity, 1e308, -1e308, infinity, 5.0, -infinity, infinity};
  for (const dfa::Config& config : textured_configs()) {
    dfa::Racos search = make(config);
    std::size_t told = 0;
    for (int iteration = 0; iteration < 60; ++iteration) {
      for (std::uint32_t i = 0; i < search.iteration_size(); ++i) {
        ask(search, i);
        search.tell(i, degrees[told++ % degrees.size()]);
      }
      search.advance(scratch);
      const std::string state = search.save();
      REQUIRE(dfa::Racos::load(config, kShape, state).save() == state);
    }
  }
}

TEST_CASE("where windows have lain is part of the state") {
  dfa::Config config = textured_configs().front();
  config.placements = 4;
  dfa::Racos search = make(config);
  for (int iteration = 0; iteration < 14; ++iteration) {
    run_iteration(search);
  }
  const dfa::Racos loaded = dfa::Racos::load(config, kShape, search.save());
  CHECK(loaded.coverage().cells() == search.coverage().cells());
  CHECK(loaded.coverage().under(0, 0, std::min(kShape.height, kShape.width)) > 0.0);
}

TEST_CASE("a descent that cannot be is refused") {
  dfa::Config config = textured_configs().front();
  config.restart_after = 8;
  const dfa::Racos search = make(config);
  const std::string state = search.save();
  const std::size_t descent = part(state, "descent");
  const std::size_t looks = descent + 8;
  const auto check_refused = [&](const std::string& bytes) {
    CHECK_THROWS_WITH_AS(dfa::Racos::load(config, kShape, bytes), "saved state holds a descent that cannot be",
                         std::invalid_argument);
  };
  check_refused(patched(state, looks, packed(std::uint32_t{33})));
  check_refused(patched(state, descent, packed(std::uint64_t{1})));
  CHECK_NOTHROW(dfa::Racos::load(config, kShape, patched(state, looks, packed(std::uint32_t{32}))));
}

TEST_CASE("a coverage that cannot be is refused") {
  dfa::Config config = textured_configs().front();
  config.placements = 4;
  dfa::Racos search = make(config);
  const std::string state = search.save();
  const std::size_t cells = part(state, "coverage") + 8;
  const auto check_refused = [&](std::uint64_t bits) {
    CHECK_THROWS_WITH_AS(dfa::Racos::load(config, kShape, patched(state, cells, packed(bits))),
                         "saved state holds a coverage of windows that cannot be", std::invalid_argument);
  };
  check_refused(0xBFF0000000000000);  // -1
  check_refused(0x7FF0000000000000);  // infinity
  check_refused(0x7FF8000000000000);  // not a number
  const std::string other = patched(state, cells, packed(std::uint64_t{0x3FF0000000000000}));
  CHECK(dfa::Racos::load(config, kShape, other).coverage().cells()[0] == 1.0);
}

TEST_CASE("a state whose checksum is right but whose contents are not is refused") {
  dfa::Config config;
  config.samples = 2;
  config.positives = 1;
  dfa::Racos search = make(config);
  run_iteration(search);
  search.tell(1, degree_of(ask(search, 1)));
  const std::string state = search.save();
  const auto load = [&](const std::string& bytes) { dfa::Racos::load(config, kShape, bytes); };
  CHECK(patched(state, 0, state.substr(0, 1)) == state);

  const std::size_t iteration = part(state, "image shape") + 3 * 4 + 8 + 4;
  const std::size_t original = part(state, "space");
  const std::size_t radius = original + 8 + kShape.size();
  const std::size_t families = part(state, "population");
  const std::size_t base = families + 8 + 8;
  const std::size_t members = families + 8 + search.population().num_families() * (8 + kShape.size() + 8);
  const std::size_t degree = members + 8;
  const std::size_t birth = degree + 8;
  const std::size_t family = birth + 8;
  const std::size_t answers = part(state, "answers");
  REQUIRE(packed(search.iteration()) == state.substr(iteration, 4));
  REQUIRE(packed(std::uint64_t{search.population().num_families()}) == state.substr(families, 8));
  REQUIRE(packed(std::uint64_t{3}) == state.substr(members, 8));
  REQUIRE(packed(search.population()[0].family) == state.substr(family, 4));
  REQUIRE(packed(std::uint64_t{2}) == state.substr(answers, 8));

  const auto check_refused = [&](const std::string& bytes, const char* message) {
    CHECK_THROWS_WITH_AS(load(bytes), message, std::invalid_argument);
  };
  const std::string nan = packed(std::uint64_t{0x7FF8000000000000});
  check_refused(lengthened(state, std::string(1, '\0')), "saved state is longer than its contents");
  check_refused(sealed(state.substr(0, state.size() - 1)), "saved state ends too early: it is truncated");
  check_refused(patched(state, base, packed(std::int8_t{21})), "saved state holds a perturbation outside its bounds");
  check_refused(patched(state, base - 8, packed(std::uint64_t{kShape.size() - 1})),
                "saved state ends too early: it is truncated");
  check_refused(patched(state, iteration, packed(std::uint32_t{0})),
                "saved state holds a number of candidates that cannot be");
  check_refused(patched(state, family, packed(std::int32_t{77})), "saved state names a family that is not in it");
  check_refused(patched(state, family, packed(std::int32_t{-2})), "saved state names a family that is not in it");
  check_refused(patched(state, family, packed(std::int32_t{-1})), "saved state lacks the vector of a positive");
  check_refused(patched(state, degree, packed(std::uint64_t{0x7FF0000000000000})),
                "saved state holds members out of order");
  check_refused(patched(state, degree, nan), "saved state holds a degree that is not a number");
  check_refused(patched(state, birth, packed(std::uint64_t{3})),
                "saved state holds a member that is not of its descent");
  check_refused(patched(state, birth, packed((search.population()[0].birth + 1) % 3)),
                "saved state holds two members of one birth");
  check_refused(patched(state, radius, packed(std::uint8_t{0})), "radius must be in 1..255 grey levels, got 0");
  check_refused(patched(state, radius + 3, packed(std::uint8_t{2})), "saved state holds a choice that there is not");
  check_refused(patched(state, answers + 8 + 9 + 1, nan), "saved state holds a degree that is not a number");
  check_refused(patched(state, answers + 8, packed(std::uint8_t{2})), "saved state holds a choice that there is not");
  // Numbers of values that no bytes are there for.
  for (const std::size_t number : {original, families, base - 8, members, family + 4, answers}) {
    for (const std::uint64_t wrong : {~std::uint64_t{0}, std::uint64_t{1} << 61U, std::uint64_t{1} << 40U}) {
      CHECK_THROWS_AS(load(patched(state, number, packed(wrong))), std::invalid_argument);
    }
  }
}

TEST_CASE("parts of a state that do not fit together are refused") {
  dfa::Config config;
  config.samples = 2;
  config.positives = 1;
  dfa::Racos search = make(config);
  run_iteration(search);
  const std::string state = search.save();
  const auto check_refused = [&](const char* name, const std::string& contents, const char* message) {
    CHECK_THROWS_WITH_AS(dfa::Racos::load(config, kShape, with_part(state, "search", name, contents)), message,
                         std::invalid_argument);
  };
  CHECK(with_part(state, "search", "lesson", packed(search.lesson())) == state);
  CHECK(with_part(state, "search", "space", packed(search.space())) == state);
  for (const std::uint64_t number : {1U, 3U}) {
    check_refused("answers", packed(number) + std::string(static_cast<std::size_t>(9 * number), '\0'),
                  "saved state holds an iteration of the wrong size");
  }
  const auto other_signs = std::make_shared<const dfa::Signs>(2, 0);
  dfa::Lesson lesson = search.lesson();
  lesson.found = other_signs;
  check_refused("lesson", packed(lesson), "saved state holds a lesson of another image shape");
  dfa::Plan plan = dfa::plan_alone(3);
  plan.starts[1].signs = other_signs;
  check_refused("plan", packed(plan), "a plan of another image shape");
  check_refused("plan", packed(dfa::plan_alone(2)), "a plan must hold at least 3 starts, got 2");
  const Image original(kShape.size() - 1);
  check_refused("space", packed(dfa::Space(original, 20, dfa::Domain::kBall)),
                "expected an image of 24 coordinates, got 23");
  const auto radii = std::make_shared<const dfa::RadiusMap>(Image(kShape.size(), 0));
  std::string no_radii = packed(dfa::Space(
      Image(kShape.size()), std::make_shared<const dfa::RadiusMap>(Image(kShape.size(), 1)), dfa::Domain::kBall));
  no_radii.replace(no_radii.find(packed(Image(kShape.size(), 1))), 8 + kShape.size(), packed(*radii));
  check_refused("space", no_radii, "every radius is 0: no coordinate may change");

  dfa::Config windows = textured_configs().front();
  const std::string window = make(windows).save();
  const auto box = std::make_shared<const dfa::Box>("shift", kShape, dfa::Parameters{{"rows", 1}, {"columns", 1}});
  const std::string boxed = with_part(window, "search", "space", packed(dfa::Space(Image(kShape.size()), box)));
  CHECK_THROWS_WITH_AS(dfa::Racos::load(windows, kShape, boxed),
                       "windows, stripes and textures lie on an image; the space shift needs scattered coordinates or "
                       "its own moves, a uniform start, and images of its shape",
                       std::invalid_argument);
}

TEST_CASE("edits of a state must lie in the image, ascend and stay in bounds") {
  dfa::Config config;
  config.samples = 2;
  config.positives = 1;
  config.coordinates = 6;
  dfa::Racos search = make(config);
  do {
    run_iteration(search);
    REQUIRE(search.iteration() < 100);
  } while (search.population()[1].edits.size() < 2);
  const std::string state = search.save();
  const dfa::Population& population = search.population();
  const std::size_t members = part(state, "population") + 8 + population.num_families() * (8 + kShape.size() + 8);
  const std::size_t edit = members + 8 + 28 + population[0].edits.size() * 6 + 28;
  REQUIRE(packed(population[1].edits[0].coordinate) == state.substr(edit, 4));
  const auto load = [&](const std::string& bytes) { dfa::Racos::load(config, kShape, bytes); };
  CHECK_THROWS_WITH_AS(load(patched(state, edit, packed(std::uint32_t{24}))),
                       "saved state holds a coordinate outside the image", std::invalid_argument);
  CHECK_THROWS_WITH_AS(load(patched(state, edit, packed(population[1].edits[1].coordinate))),
                       "saved state holds edits out of order", std::invalid_argument);
  CHECK_THROWS_WITH_AS(load(patched(state, edit + 4, packed(std::int16_t{-21}))),
                       "saved state holds a perturbation outside its bounds", std::invalid_argument);
}

TEST_CASE("no damage with a right checksum reads outside the state or brings a perturbation out of bounds") {
  // What the sanitizers would see.
  int num_loaded = 0;
  std::vector<dfa::Config> all = configs();
  dfa::Config restarting;
  restarting.restart_after = 2;
  all.push_back(restarting);
  dfa::Config covering = textured_configs().front();
  covering.placements = 3;
  all.push_back(covering);
  for (const dfa::Config& config : all) {
    for (const std::uint8_t radius : {std::uint8_t{0}, std::uint8_t{20}}) {
      dfa::Racos search = make(config, radius);
      for (int iteration = 0; iteration < 4; ++iteration) {
        run_iteration(search);
      }
      const std::string state = search.save();
      dfa::Stream stream = support::numbers(5);
      for (int trial = 0; trial < 400; ++trial) {
        const auto at = static_cast<std::size_t>(stream.below(static_cast<std::uint32_t>(state.size() - 8)));
        const auto byte = static_cast<char>(stream.below(256));
        try {
          dfa::Racos loaded = dfa::Racos::load(config, kShape, patched(state, at, std::string(1, byte)));
          ++num_loaded;
          const dfa::Population& population = loaded.population();
          for (std::size_t rank = 0; rank < population.size(); ++rank) {
            for (std::uint32_t p = 0; population[rank].family >= 0 && p < kShape.size(); ++p) {
              const std::int32_t value = population.value(population[rank], p);
              REQUIRE(value >= loaded.space().bounds(p).low);
              REQUIRE(value <= loaded.space().bounds(p).high);
            }
          }
          for (std::uint32_t i = 0; i < loaded.iteration_size(); ++i) {
            const Image image = ask(loaded, i);
            if (!is_answered(loaded, i)) {
              loaded.tell(i, degree_of(image));
            }
          }
          dfa::Scratch scratch;
          loaded.advance(scratch);
        } catch (const std::invalid_argument&) {
        }
      }
    }
  }
  CHECK(num_loaded > 100);
}
