#include <algorithm>
#include <array>
#include <vector>

#include "dfa/space/box.hpp"

namespace dfa::spaces {
namespace {

constexpr std::int64_t kContrastSteps = 64;  // to twice the contrast
constexpr std::int64_t kGammaSteps = 8;      // to the next whole exponent
constexpr std::int64_t kFraction = 256;      // of a grey level, in which a value stands before it is rounded
constexpr int kBits = 30;                    // of a fixed-point number in [0, 1]

// The largest integer whose square is at most n.
std::uint64_t root(std::uint64_t n) {
  std::uint64_t result = 0;
  for (std::uint64_t bit = std::uint64_t{1} << 31U; bit != 0; bit >>= 1U) {
    if ((result | bit) * (result | bit) <= n) {
      result |= bit;
    }
  }
  return result;
}

// 255 (d / 255)^(exponent / 8) in integers, so that every machine gets the same image: three square roots make the
// eighth root, and products the power.
std::int64_t curve(std::uint64_t d, std::int64_t exponent) {
  std::uint64_t eighth = (d << kBits) / 255;
  for (int i = 0; i < 3; ++i) {
    eighth = root(eighth << kBits);
  }
  std::uint64_t power = std::uint64_t{1} << kBits;
  for (std::int64_t i = 0; i < exponent; ++i) {
    power = (power * eighth) >> kBits;
  }
  return static_cast<std::int64_t>((power * 255 * kFraction) >> kBits);
}

}  // namespace

/// Light: clamp(a d + b), rounded once. x is b, at most `brightness` grey levels; the steps of a, which is
/// 1 + step / 64 and at most `contrast` steps from 1; and, if `gamma` is above 0, the steps of an exponent that comes
/// before both, 1 + step / 8 and at most `gamma` steps from 1.
SpaceDefinition lighting(const ImageShape& shape, const Parameters& parameters) {
  SpaceDefinition space;
  const auto add = [&space](std::int32_t most) {
    space.low.push_back(static_cast<std::int16_t>(-most));
    space.high.push_back(static_cast<std::int16_t>(most));
  };
  add(parameter(parameters, "brightness", 0, 255));
  add(parameter(parameters, "contrast", 0, kContrastSteps - 1));
  const std::int32_t gamma = parameter(parameters, "gamma", 0, kGammaSteps - 1);
  if (gamma > 0) {
    add(gamma);
  }
  std::vector<std::array<std::int64_t, 256>> curves(2 * static_cast<std::size_t>(gamma) + 1);
  for (std::int32_t step = -gamma; step <= gamma; ++step) {
    for (std::uint64_t d = 0; d < 256; ++d) {
      curves[static_cast<std::size_t>(step + gamma)][d] =
          step == 0 ? static_cast<std::int64_t>(d) * kFraction : curve(d, kGammaSteps + step);
    }
  }
  space.render = [shape, gamma, curves](const std::uint8_t* original, const std::int16_t* x, std::uint8_t* image) {
    const std::array<std::int64_t, 256>& from = curves[static_cast<std::size_t>(gamma > 0 ? x[2] + gamma : 0)];
    std::array<std::uint8_t, 256> to;
    for (std::size_t d = 0; d < 256; ++d) {
      // Halves go up. What is below 0 is clamped before it is divided, which would round it towards 0.
      const std::int64_t value = (kContrastSteps + x[1]) * from[d] + kContrastSteps * kFraction * x[0];
      const std::int64_t level = (2 * value + kContrastSteps * kFraction) / (2 * kContrastSteps * kFraction);
      to[d] = static_cast<std::uint8_t>(value < 0 ? 0 : std::min<std::int64_t>(level, 255));
    }
    std::transform(original, original + shape.size(), image, [&to](std::uint8_t d) { return to[d]; });
  };
  return space;
}

}  // namespace dfa::spaces
