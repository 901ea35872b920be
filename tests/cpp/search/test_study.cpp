#include <doctest/doctest.h>

#include <cstdint>
#include <vector>

#include "dfa/search/study.hpp"
#include "search/searches.hpp"
#include "support.hpp"

using namespace searches;

TEST_CASE("draws from a given population are the candidates of a search in that state") {
  for (const dfa::Config& config : configs()) {
    dfa::Stream stream = support::numbers(11);
    const dfa::Space space = support::random_ball(kShape.size(), 30, config.domain, stream);
    dfa::Racos search(config, kShape, space, 77, 0);
    dfa::Scratch scratch;
    std::vector<support::Whole> members;
    for (std::uint32_t i = 0; i < 5; ++i) {
      ask(search, i);
      search.tell(i, i);
    }
    search.advance(scratch);
    dfa::Config whole_config = config;
    if (config.values == dfa::Values::kTextures) {
      continue;  // windows, as below
    }
    whole_config.region = dfa::Region::kOrdered;  // under Region::kNone negatives would have no vectors to compare
    dfa::Racos whole(whole_config, kShape, space, 77, 0);
    for (std::uint32_t i = 0; i < 5; ++i) {
      ask(whole, i);
      whole.tell(i, i);
    }
    whole.advance(scratch);
    for (std::size_t rank = 0; rank < 5; ++rank) {
      members.push_back(support::whole_of(whole.population(), whole.population()[rank], kShape.size()));
    }
    if (config.shape == dfa::Shape::kWindow) {
      continue;  // 5 are told, as in the search, but the test above of the halvings says more
    }
    const auto drawn = dfa::draw_from(config, kShape, space, members, 77, 3);
    REQUIRE(drawn.size() == 3);
    for (std::uint32_t i = 0; i < 3; ++i) {
      CHECK(support::image_of(space, drawn[i]) == ask(search, i));
    }
  }
}

TEST_CASE("draws from a given population do not depend on how many starts a search has") {
  dfa::Config config;
  dfa::Stream stream = support::numbers(12);
  const dfa::Space space = support::random_ball(kShape.size(), 30, config.domain, stream);
  std::vector<support::Whole> members;
  for (std::uint32_t i = 0; i < config.population(); ++i) {
    members.push_back(support::random_whole(space, stream));
  }
  const auto drawn = dfa::draw_from(config, kShape, space, members, 77, 5);
  config.starts = 40;
  CHECK(dfa::draw_from(config, kShape, space, members, 77, 5) == drawn);
}
