#include <doctest/doctest.h>

#include <algorithm>
#include <cstdint>
#include <utility>
#include <vector>

#include "dfa/space/perturbation.hpp"
#include "support.hpp"

namespace {

using dfa::Edit;
using dfa::Edits;
using support::Whole;

dfa::Space middle(std::size_t size, std::uint8_t radius) {
  return dfa::Space(std::vector<std::uint8_t>(size, 100), radius, dfa::Domain::kBall);
}

// The edits that turn `base` into `target`.
Edits edits_between(const dfa::Space& space, const Whole& base, const Whole& target) {
  Edits edits;
  for (std::uint32_t p = 0; p < base.size(); ++p) {
    if (base[p] != target[p]) {
      edits.push_back({p, static_cast<std::int16_t>(target[p]), static_cast<std::int16_t>(base[p]),
                       space.pixel(p, target[p]), space.pixel(p, base[p])});
    }
  }
  return edits;
}

// `base` with each coordinate changed with probability 1/3, now and then to what `other` has.
Whole relative(const Whole& base, const Whole& other, dfa::Stream& stream) {
  Whole whole = base;
  for (std::size_t p = 0; p < whole.size(); ++p) {
    const std::uint32_t kind = stream.below(6);
    if (kind == 0) {
      whole[p] = other[p];
    } else if (kind == 1) {
      whole[p] = stream.between(-2, 2);
    }
  }
  return whole;
}

bool is_same(const Edits& a, const Edits& b) {
  return std::equal(a.begin(), a.end(), b.begin(), b.end(), [](const Edit& x, const Edit& y) {
    return x.coordinate == y.coordinate && x.value == y.value && x.base_value == y.base_value && x.pixel == y.pixel &&
           x.base_pixel == y.base_pixel;
  });
}

}  // namespace

TEST_CASE("a whole vector holds every value of its radius") {
  for (const std::int32_t radius : {1, 127, 128, 255}) {
    CAPTURE(radius);
    dfa::DenseVector vector(2 * static_cast<std::size_t>(radius) + 1, radius);
    CHECK(vector.size() == 2 * static_cast<std::size_t>(radius) + 1);
    for (std::size_t p = 0; p < vector.size(); ++p) {
      CHECK(vector[p] == 0);
      vector.set(p, static_cast<std::int32_t>(p) - radius);
    }
    for (std::size_t p = 0; p < vector.size(); ++p) {
      REQUIRE(vector[p] == static_cast<std::int32_t>(p) - radius);
    }
  }
  CHECK(dfa::DenseVector().size() == 0);
}

TEST_CASE("differences are counted at every place of vectors of every length") {
  dfa::Stream stream = support::numbers(1);
  for (const std::uint8_t radius : {std::uint8_t{100}, std::uint8_t{200}}) {
    for (const std::size_t size : {1U, 127U, 128U, 129U, 256U, 1000U}) {
      CAPTURE(size);
      const dfa::Space space = middle(size, radius);
      const Whole a = support::random_whole(space, stream);
      Whole b = a;
      CHECK(support::dense(space, a).count_differences(support::dense(space, b)) == 0);
      for (std::size_t p = 0; p < size; ++p) {
        b[p] = a[p] == 5 ? 6 : 5;
        if (p % 37 == 0 || p + 1 == size) {
          REQUIRE(support::dense(space, a).count_differences(support::dense(space, b)) == p + 1);
        }
      }
    }
  }
}

TEST_CASE("a whole vector renders as the clamped sum") {
  dfa::Stream stream = support::numbers(2);
  for (const std::uint8_t radius : {std::uint8_t{0}, std::uint8_t{127}, std::uint8_t{128}, std::uint8_t{255}}) {
    const dfa::Space space = support::random_ball(500, radius, dfa::Domain::kBall, stream);
    const Whole whole = support::random_whole(space, stream);
    std::vector<std::uint8_t> image(500);
    support::dense(space, whole).render(space, image.data());
    CHECK(image == support::image_of(space, whole));
  }
}

TEST_CASE("value_at finds the edit, else the base") {
  const dfa::Space space = middle(6, 9);
  const Whole base{1, 2, 3, 4, 5, 6};
  const Whole target{1, -2, 3, -4, 5, -6};
  const Edits edits = edits_between(space, base, target);
  for (std::uint32_t p = 0; p < 6; ++p) {
    CHECK(dfa::value_at(support::dense(space, base), edits, p) == target[p]);
    CHECK(dfa::value_at(support::dense(space, base), {}, p) == base[p]);
  }
}

TEST_CASE("overlay, rebased and departures say of edits what whole vectors say") {
  dfa::Stream stream = support::numbers(3);
  for (int trial = 0; trial < 400; ++trial) {
    CAPTURE(trial);
    const std::size_t size = 1 + stream.below(30);
    // A radius of 2, so that values often agree by chance; an original at the edge, so that pixels are clamped.
    const dfa::Space space = support::random_ball(size, 2, dfa::Domain::kBall, stream);
    const Whole base = support::random_whole(space, stream);
    const Whole parent = relative(base, base, stream);
    const Whole child = relative(parent, base, stream);
    const Whole other = relative(base, parent, stream);

    // A child's edits are given with respect to the base, and name what they change from the parent; in them an edit
    // back to the base's value, or to the parent's own, may stand.
    Edits own;
    for (std::uint32_t p = 0; p < size; ++p) {
      if (child[p] != parent[p] || stream.below(4) == 0) {
        own.push_back({p, static_cast<std::int16_t>(child[p]), static_cast<std::int16_t>(base[p]),
                       space.pixel(p, child[p]), space.pixel(p, base[p])});
      }
    }
    const Edits parent_edits = edits_between(space, base, parent);
    const Edits child_edits = edits_between(space, base, child);
    const Edits other_edits = edits_between(space, base, other);
    CHECK(is_same(dfa::overlay(parent_edits, own), child_edits));

    // The base moves to `child`.
    CHECK(is_same(dfa::rebased(other_edits, child_edits), edits_between(space, child, other)));
    CHECK(is_same(dfa::rebased(parent_edits, child_edits), edits_between(space, child, parent)));
    CHECK(dfa::rebased(child_edits, child_edits).empty());
    CHECK(is_same(dfa::rebased({}, child_edits), edits_between(space, child, base)));

    const std::vector<dfa::Departure> found = dfa::departures(parent_edits, other_edits);
    std::size_t n = 0;
    for (std::uint32_t p = 0; p < size; ++p) {
      if (parent[p] != other[p]) {
        REQUIRE(n < found.size());
        CHECK(found[n].coordinate == p);
        CHECK(found[n].value_a == parent[p]);
        CHECK(found[n].value_b == other[p]);
        ++n;
      }
    }
    CHECK(n == found.size());
  }
}

TEST_CASE("edits are sorted, few and many, in small and in large spaces") {
  dfa::Stream stream = support::numbers(4);
  Edits scratch;
  for (const std::uint32_t size : {100U, 1024U, 1025U, 1U << 20U, (1U << 20U) + 1U, 4000000000U}) {
    for (const std::uint32_t n : {1U, 2U, 64U, 65U, 100U}) {
      CAPTURE(size);
      CAPTURE(n);
      // Distinct coordinates, the last possible one among them, in an order that is not sorted.
      const std::uint32_t step = size / n;
      Edits edits;
      for (std::uint32_t i = 0; i < n; ++i) {
        const std::uint32_t p = i + 1 == n ? size - 1 : i * step + stream.below(step);
        edits.push_back({p, static_cast<std::int16_t>(i), 7, static_cast<std::uint8_t>(i), 9});
      }
      Edits expected = edits;
      for (std::uint32_t i = n - 1; i > 0; --i) {
        std::swap(edits[i], edits[stream.below(i + 1)]);
      }
      dfa::sort_by_coordinate(edits, scratch, size);
      CHECK(is_same(edits, expected));
    }
  }
  // Gathered in one place, as a mask gathers them.
  Edits gathered;
  for (std::uint32_t i = 0; i < 300; ++i) {
    gathered.push_back({500000U + (i * 7U) % 300U, static_cast<std::int16_t>((i * 7U) % 300U), 7, 8, 9});
  }
  dfa::sort_by_coordinate(gathered, scratch, 1U << 20U);
  for (std::uint32_t i = 0; i < 300; ++i) {
    CHECK(gathered[i].coordinate == 500000U + i);
    CHECK(gathered[i].value == static_cast<std::int16_t>(i));
  }
  Edits none;
  dfa::sort_by_coordinate(none, scratch, 10);
  CHECK(none.empty());
}
