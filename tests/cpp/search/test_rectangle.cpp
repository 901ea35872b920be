#include <doctest/doctest.h>

#include <algorithm>
#include <cstdint>
#include <utility>
#include <vector>

#include "dfa/search/rectangle.hpp"
#include "support.hpp"

namespace {

using support::Twin;
using support::Whole;

const dfa::ImageShape kShape{5, 7, 3};
const dfa::Domain kDomains[] = {dfa::Domain::kBall, dfa::Domain::kValid};
const std::uint8_t kRadii[] = {0, 1, 100, 255};  // 0: one per coordinate

Whole values_of(const dfa::DenseVector& vector) {
  Whole whole(vector.size());
  for (std::size_t p = 0; p < whole.size(); ++p) {
    whole[p] = vector[p];
  }
  return whole;
}

}  // namespace

TEST_CASE("a rectangle painted, written or turned into edits is its values, coordinate by coordinate") {
  dfa::Stream stream = support::numbers(90);
  for (const dfa::Domain domain : kDomains) {
    for (const std::uint8_t radius : kRadii) {
      for (int i = 0; i < 40; ++i) {
        const dfa::Space space = support::random_ball(kShape.size(), radius, domain, stream);
        dfa::Proposal proposal;
        proposal.rectangle = support::random_rectangle(kShape, stream);
        const Whole before = support::random_whole(space, stream);
        const Whole after = support::applied(space, before, proposal);

        std::vector<std::uint8_t> image = support::image_of(space, before);
        proposal.rectangle.paint(space, image.data());
        CHECK(image == support::image_of(space, after));

        dfa::DenseVector vector = support::dense(space, before);
        const dfa::DenseVector base = vector;
        std::vector<std::uint8_t> shown = support::image_of(space, before);
        proposal.rectangle.write(space, vector, shown.data());
        CHECK(values_of(vector) == after);
        CHECK(shown == image);

        Whole edited = before;
        std::uint32_t last = 0;
        for (const dfa::Edit& edit : proposal.rectangle.edits(space, base)) {
          CHECK((edit.coordinate > last || edited == before));
          last = edit.coordinate;
          CHECK(edit.base_value == before[edit.coordinate]);
          CHECK(edit.base_pixel == space.pixel(edit.coordinate, edit.base_value));
          CHECK(edit.pixel == space.pixel(edit.coordinate, edit.value));
          edited[edit.coordinate] = edit.value;
        }
        CHECK(edited == after);
      }
    }
  }
}

TEST_CASE("a vector holds a rectangle when no coordinate of it differs, clamped or not") {
  dfa::Stream stream = support::numbers(91);
  std::vector<std::uint8_t> scratch;
  int num_hidden = 0;
  for (const dfa::Domain domain : kDomains) {
    for (const std::uint8_t radius : kRadii) {
      for (int i = 0; i < 40; ++i) {
        const dfa::Space space = support::random_ball(kShape.size(), radius, domain, stream);
        dfa::Proposal proposal;
        proposal.rectangle = support::random_rectangle(kShape, stream);
        const dfa::Rectangle& rectangle = proposal.rectangle;
        Whole whole = support::applied(space, support::random_whole(space, stream), proposal);
        CHECK(dfa::holds(space, support::dense(space, whole), support::image_of(space, whole).data(), rectangle,
                         scratch));

        const std::uint32_t p = rectangle.start(stream.below(rectangle.height)) + stream.below(rectangle.length);
        const dfa::Bounds bounds = space.bounds(p);
        const std::int32_t other = whole[p] == bounds.high ? whole[p] - 1 : whole[p] + 1;
        if (bounds.low == bounds.high) {
          continue;
        }
        const std::vector<std::uint8_t> image = support::image_of(space, whole);
        whole[p] = other;
        num_hidden += image == support::image_of(space, whole) ? 1 : 0;
        CHECK_FALSE(dfa::holds(space, support::dense(space, whole), support::image_of(space, whole).data(), rectangle,
                               scratch));
      }
    }
  }
  CHECK(num_hidden > 10);  // vectors that differ and render alike
}

TEST_CASE("a start that a rectangle stands for joins as its whole vector would") {
  for (const std::uint32_t positives : {1U, 3U}) {
    for (const dfa::Domain domain : kDomains) {
      dfa::Stream stream = support::numbers(93 + positives);
      dfa::Config config;
      config.region = dfa::Region::kNone;
      config.positives = positives;
      config.samples = 1;
      const dfa::Space space = support::random_ball(kShape.size(), 9, domain, stream);
      dfa::Population rectangles(config);
      dfa::Population wholes(config);
      for (std::uint32_t birth = 0; birth < 20; ++birth) {
        const double degree = stream.below(8);
        dfa::Rectangle rectangle;
        dfa::weave_start(kShape, static_cast<std::uint32_t>(birth % dfa::kNumTexturedStarts), rectangle);
        dfa::DenseVector none;
        rectangles.merge(space, {{degree, birth, &none, 0, nullptr, &rectangle}});
        dfa::Proposal proposal;
        proposal.rectangle = rectangle;
        dfa::DenseVector whole = support::dense(space, support::applied(space, Whole(space.size(), 0), proposal));
        wholes.merge(space, {{degree, birth, &whole, 0, nullptr}});

        REQUIRE(rectangles.size() == wholes.size());
        REQUIRE(rectangles.num_families() == wholes.num_families());
        for (std::size_t rank = 0; rank < rectangles.num_positives(); ++rank) {
          const dfa::Member& member = rectangles[rank];
          REQUIRE(member.birth == wholes[rank].birth);
          REQUIRE(support::whole_of(rectangles, member, space.size()) ==
                  support::whole_of(wholes, wholes[rank], space.size()));
          REQUIRE(rectangles.family(member).image == wholes.family(wholes[rank]).image);
        }
      }
    }
  }
}

TEST_CASE("a population told of rectangles is the population of whole vectors, with one positive or several") {
  std::uint32_t which = 92;
  for (const std::uint32_t positives : {1U, 3U}) {
    for (const std::uint32_t samples : {1U, 4U}) {
      for (const std::uint8_t radius : kRadii) {
        for (const dfa::Domain domain : kDomains) {
          CAPTURE(which);
          dfa::Stream stream = support::numbers(which++);
          dfa::Config config;
          config.region = dfa::Region::kNone;
          config.positives = positives;
          config.samples = samples;
          const dfa::Space space = support::random_ball(kShape.size(), radius, domain, stream);
          Twin twin(config, space);
          std::vector<std::pair<double, Whole>> members;
          for (std::uint32_t i = 0; i < config.population(); ++i) {
            members.emplace_back(stream.below(4), support::random_whole(space, stream));
          }
          twin.start(members);
          for (int iteration = 0; iteration < 40; ++iteration) {
            std::vector<std::pair<double, dfa::Proposal>> candidates;
            for (std::uint32_t i = 0; i < samples; ++i) {
              dfa::Proposal proposal;
              proposal.parent = stream.below(positives);
              proposal.rectangle = support::random_rectangle(kShape, stream);
              candidates.emplace_back(twin.reference.front().degree - 1.0 + stream.between(0, 3), std::move(proposal));
            }
            twin.grow(std::move(candidates));
            for (std::size_t rank = 0; rank < positives; ++rank) {
              const dfa::Member& member = twin.population[rank];
              REQUIRE(member.birth == twin.reference[rank].birth);
              REQUIRE(support::whole_of(twin.population, member, space.size()) == twin.reference[rank].values);
              const dfa::Family& family = twin.population.family(member);
              std::vector<std::uint8_t> image(space.size());
              family.base.render(space, image.data());
              REQUIRE(family.image == image);
              if (positives == 1) {
                REQUIRE(member.edits.empty());
              }
            }
          }
        }
      }
    }
  }
}
