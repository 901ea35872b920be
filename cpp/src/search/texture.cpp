#include "dfa/search/texture.hpp"

#include <algorithm>

namespace dfa {
namespace {

constexpr std::uint8_t kHigh = 0xff;

bool is_odd(std::uint32_t at, std::uint32_t period) { return ((at / period) & 1U) != 0; }

}  // namespace

std::uint32_t turned_over(std::uint32_t textured_start) {
  const TexturedStart& of = kTexturedStarts[textured_start];
  const auto other = std::find_if(kTexturedStarts.begin(), kTexturedStarts.end(), [&](const TexturedStart& start) {
    return start.texture.weave == of.texture.weave && start.texture.period == of.texture.period &&
           start.is_turned != of.is_turned;
  });
  return static_cast<std::uint32_t>(other - kTexturedStarts.begin());
}

void weave(const Texture& texture, std::uint32_t top, std::uint32_t left, const std::vector<std::uint8_t>& channels,
           Rectangle& rectangle) {
  const Weave kind = texture.weave;
  const std::size_t num_channels = channels.size();
  const auto width = static_cast<std::uint32_t>(rectangle.length / num_channels);
  for (std::uint32_t column = 0; column < width; ++column) {
    const bool alternates = kind == Weave::kColumns || kind == Weave::kChecks;
    const std::uint8_t turn = alternates && !is_odd(left + column, texture.period) ? kHigh : 0;
    for (std::size_t channel = 0; channel < num_channels; ++channel) {
      rectangle.picks_high[column * num_channels + channel] = static_cast<std::uint8_t>(channels[channel] ^ turn);
    }
  }
  rectangle.row_turns.clear();
  if (kind != Weave::kRows && kind != Weave::kChecks) {
    return;
  }
  for (std::uint32_t row = 0; row < rectangle.height; ++row) {
    const bool is_turned = is_odd(top + row, texture.period) == (kind == Weave::kChecks);
    rectangle.row_turns.push_back(is_turned ? kHigh : 0);
  }
}

}  // namespace dfa
