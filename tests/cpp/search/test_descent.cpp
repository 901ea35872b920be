#include <doctest/doctest.h>

#include <algorithm>
#include <cstdint>
#include <string>
#include <vector>

#include "search/searches.hpp"

using namespace searches;

namespace {

bool has_found(const dfa::Racos& search) { return search.lesson().found != nullptr; }

}  // namespace

TEST_CASE("a descent ends where its second half has left more than nineteen twentieths of the degree") {
  dfa::Config config = textured_configs().front();
  REQUIRE(config.population() == 2);
  config.restart_after = 8;
  const auto begun = [&config] {
    dfa::Racos search = make(config);
    for (std::uint32_t i = 0; i < 2; ++i) {
      ask(search, i);
      search.tell(i, 10.0);
    }
    dfa::Scratch scratch;
    search.advance(scratch);
    for (int start = 2; start < 12; ++start) {
      step(search, 10.0);
    }
    return search;
  };
  const auto num_members_after = [](dfa::Racos& search, int count, double degree) {
    for (int i = 0; i < count; ++i) {
      step(search, degree);
    }
    return search.population().size();
  };
  SUBCASE("one that stands still") {
    dfa::Racos search = begun();
    CHECK(num_members_after(search, 7, 5.0) == 2);  // at 4 there is nothing to compare with
    CHECK(num_members_after(search, 1, 5.0) == 0);
    const std::string state = search.save();
    CHECK(dfa::Racos::load(config, kShape, state).save() == state);
    // Stripes, and what was best before is no parent any more.
    const Image first = step(search, 9.0);
    Image expected(kShape.size());
    dfa::Stream same({9, 3, search.iteration() - 1, 0});
    dfa::DenseVector stripes;
    dfa::draw_start(config, kShape, search.space(), same, stripes);
    stripes.render(search.space(), expected.data());
    CHECK(first == expected);
    CHECK(search.population().size() == 1);
    CHECK(search.population()[0].degree == 9.0);
    CHECK(num_members_after(search, 1 + 7, 9.0) == 2);
    CHECK(num_members_after(search, 1, 9.0) == 0);
  }
  SUBCASE("not one that falls by a twentieth, which is asked again when it is twice as long") {
    dfa::Racos search = begun();
    num_members_after(search, 4, 5.0);
    CHECK(num_members_after(search, 4, 4.75) == 2);
    CHECK(num_members_after(search, 7, 4.6) == 2);
    CHECK(num_members_after(search, 1, 4.6) == 0);
  }
  SUBCASE("and none where that was not asked for") {
    config.restart_after = 0;
    dfa::Racos search = begun();
    CHECK(num_members_after(search, 64, 5.0) == 2);
  }
  SUBCASE("what a search teaches is from its first descent") {
    dfa::Racos search = begun();
    num_members_after(search, 8, 5.0);
    const std::size_t num_trials = search.lesson().trials.size();
    num_members_after(search, 12, 5.0);
    step(search, 0.0);
    CHECK(num_trials == 12);
    CHECK(search.lesson().trials.size() == num_trials);
    CHECK(search.lesson().num_windows == 8);
    CHECK_FALSE(has_found(search));
  }
}

TEST_CASE("what windows have covered is forgotten where a search begins anew") {
  dfa::Config config = textured_configs().front();
  config.placements = 4;
  config.restart_after = 8;
  dfa::Racos search = make(config);
  const auto is_bare = [](const dfa::Racos& which) {
    const std::vector<double>& cells = which.coverage().cells();
    return std::all_of(cells.begin(), cells.end(), [](double cell) { return cell == 0.0; });
  };
  run_iteration(search);
  while (search.population().size() != 0) {
    for (std::uint32_t i = 0; i < search.iteration_size(); ++i) {
      ask(search, i);
      search.tell(i, 5.0);
    }
    CHECK(is_bare(search) == (search.iteration() < 12));
    dfa::Scratch scratch;
    search.advance(scratch);
    REQUIRE(search.iteration() < 40);
  }
  CHECK(is_bare(search));
}
