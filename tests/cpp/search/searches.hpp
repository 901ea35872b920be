#pragma once

// What tests of whole searches share: configurations of every kind, a degree, and iterations.

#include <doctest/doctest.h>

#include <cstddef>
#include <cstdint>
#include <vector>

#include "dfa/search/racos.hpp"
#include "support.hpp"

namespace searches {

using Image = std::vector<std::uint8_t>;

constexpr dfa::ImageShape kShape{4, 3, 2};

inline dfa::Racos make(const dfa::Config& config, std::uint8_t radius = 20) {
  dfa::Stream stream = support::numbers(1);
  return dfa::Racos(config, kShape, support::random_ball(kShape.size(), radius, config.domain, stream), 9, 3);
}

inline Image ask(dfa::Racos& search, std::uint32_t candidate) {
  dfa::Scratch scratch;
  Image image(search.space().size(), 77);
  search.ask(candidate, scratch, image.data());
  return image;
}

// Lowest where no start is.
inline double degree_of(const Image& image) {
  double degree = 1e4;
  for (std::size_t p = 0; p < image.size(); ++p) {
    degree += p % 3 == 0 ? image[p] : -image[p];
  }
  return degree;
}

inline std::vector<Image> run_iteration(dfa::Racos& search) {
  dfa::Scratch scratch;
  std::vector<Image> images;
  const std::uint32_t size = search.iteration_size();
  for (std::uint32_t i = 0; i < size; ++i) {
    images.push_back(ask(search, i));
    search.tell(i, degree_of(images.back()));
  }
  search.advance(scratch);
  return images;
}

inline std::vector<dfa::Config> configs() {
  std::vector<dfa::Config> all;
  for (const dfa::Region region : {dfa::Region::kNone, dfa::Region::kOrdered, dfa::Region::kPerCoordinate}) {
    for (const dfa::Shape shape : {dfa::Shape::kScattered, dfa::Shape::kWindow}) {
      dfa::Config config;
      config.region = region;
      config.shape = shape;
      config.window_halvings = {7};
      config.values = shape == dfa::Shape::kWindow ? dfa::Values::kExtremes : dfa::Values::kUniform;
      config.domain = region == dfa::Region::kNone ? dfa::Domain::kValid : dfa::Domain::kBall;
      all.push_back(config);
    }
  }
  dfa::Config textured;  // with an iteration in which the last start stands beside the first windows
  textured.region = dfa::Region::kNone;
  textured.shape = dfa::Shape::kWindow;
  textured.window_halvings = {1, 7};
  textured.values = dfa::Values::kTextures;
  textured.start = dfa::Start::kTextures;
  textured.domain = dfa::Domain::kValid;
  textured.starts = 10;
  all.push_back(textured);
  return all;
}

// Fewest candidates, and several of them and positives, with a mixed iteration.
inline std::vector<dfa::Config> textured_configs() {
  dfa::Config mixed = configs().back();
  dfa::Config smallest = mixed;
  smallest.samples = 1;
  smallest.positives = 1;
  smallest.starts = 12;
  smallest.window_share = 0.01;
  dfa::Config wide = smallest;
  wide.samples = 4;
  return {smallest, wide, mixed};
}

// Asks and tells one candidate, the only one of its iteration, and returns its image.
inline Image step(dfa::Racos& search, double degree) {
  REQUIRE(search.iteration_size() == 1);
  const Image image = ask(search, 0);
  search.tell(0, degree);
  dfa::Scratch scratch;
  search.advance(scratch);
  return image;
}

}  // namespace searches
