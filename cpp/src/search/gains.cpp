#include "dfa/search/gains.hpp"

#include <limits>

namespace dfa {
namespace {

// Plain windows do well on most networks, and a texture takes a while to learn of.
constexpr double kPlainPrior = 4.0;
// Candidates' worth of the average gain that each filling starts with.
constexpr double kSmoothing = 2.0;
constexpr double kFading = 0.98;
// Candidates' worth of what other images say of the caller's signs. It is the same surrogate for all of them.
constexpr double kSharedSources = 50.0;

template <std::size_t n>
Gain total(const std::array<Gain, n>& gains) {
  Gain result;
  for (const Gain& gain : gains) {
    result.sum += gain.sum;
    result.count += gain.count;
  }
  return result;
}

// Gain per candidate over that of all fillings.
double relative(const Gain& gain, const Gain& all) {
  const double average = all.sum / all.count;
  // None yet, or so long ago that it has faded beyond what a double can divide by.
  if (!(average >= std::numeric_limits<double>::min())) {
    return 1.0;
  }
  return (gain.sum + kSmoothing * average) / (gain.count + kSmoothing) / average;
}

double cube(double ratio) { return ratio * ratio * ratio; }

template <std::size_t n>
std::size_t draw_index(const std::array<double, n>& weights, Stream& stream) {
  double all = 0.0;
  for (const double weight : weights) {
    all += weight;
  }
  const double at = static_cast<double>(stream.next()) / 4294967296.0 * all;
  double below = 0.0;
  for (std::size_t i = 0; i + 1 < n; ++i) {
    below += weights[i];
    if (at < below) {
      return i;
    }
  }
  return n - 1;
}

template <std::size_t n>
void fade(std::array<Gain, n>& gains) {
  for (Gain& gain : gains) {
    gain.sum *= kFading;
    gain.count *= kFading;
  }
}

template <std::size_t n>
void add_scaled(std::array<Gain, n>& gains, const std::array<Gain, n>& others, double count) {
  const double others_count = total(others).count;
  const double share = others_count > count ? count / others_count : 1.0;
  for (std::size_t i = 0; i < n; ++i) {
    gains[i].sum += others[i].sum * share;
    gains[i].count += others[i].count * share;
  }
}

}  // namespace

bool Gains::draw_is_prior(Stream& stream) const {
  const Gain all = total(sources);
  const double drawn = cube(relative(sources[0], all));
  const double prior = cube(relative(sources[1], all));
  // Twice the cube's power: a surrogate that is no better is soon left alone.
  const std::array<double, 2> weights{drawn * drawn, prior * prior};
  return draw_index(weights, stream) == 1;
}

std::size_t Gains::draw(Stream& stream) const {
  const Gain both = total(kinds);
  const double plain = relative(kinds[0], both);
  const double woven = relative(kinds[1], both);
  const std::array<double, 2> kind_weights{kPlainPrior * plain * plain * plain, woven * woven * woven};
  if (draw_index(kind_weights, stream) == 0) {
    return kPlain;
  }
  const Gain all = total(textures);
  std::array<double, kWindowTextures.size()> weights{};
  for (std::size_t i = 0; i < weights.size(); ++i) {
    const double ratio = relative(textures[i], all);
    weights[i] = ratio * ratio;
  }
  return 1 + draw_index(weights, stream);
}

void Gains::learn(std::size_t filling, double gain) {
  fade(sources);
  if (filling != kPrior) {
    fade(kinds);
  }
  if (filling != kPrior && filling != kPlain) {
    fade(textures);
  }
  add(filling, gain);
}

void Gains::add(std::size_t filling, double gain) {
  Gain& source = sources[filling == kPrior ? 1 : 0];
  source.sum += gain;
  source.count += 1.0;
  if (filling == kPrior) {
    return;
  }
  Gain& kind = kinds[filling == kPlain ? 0 : 1];
  kind.sum += gain;
  kind.count += 1.0;
  if (filling != kPlain) {
    textures[filling - 1].sum += gain;
    textures[filling - 1].count += 1.0;
  }
}

void Gains::add(const Gains& other) {
  for (std::size_t i = 0; i < sources.size(); ++i) {
    sources[i].sum += other.sources[i].sum;
    sources[i].count += other.sources[i].count;
  }
  for (std::size_t i = 0; i < kinds.size(); ++i) {
    kinds[i].sum += other.kinds[i].sum;
    kinds[i].count += other.kinds[i].count;
  }
  for (std::size_t i = 0; i < textures.size(); ++i) {
    textures[i].sum += other.textures[i].sum;
    textures[i].count += other.textures[i].count;
  }
}

void Gains::learn_from(const Gains& other, double count) {
  add_scaled(sources, other.sources, kSharedSources);
  add_scaled(kinds, other.kinds, count);
  add_scaled(textures, other.textures, count);
}

}  // namespace dfa
