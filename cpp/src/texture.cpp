#include "dfa/texture.hpp"

namespace dfa {
namespace {

constexpr std::uint8_t kHigh = 0xff;

bool is_odd(std::uint32_t at, std::uint32_t period) { return ((at / period) & 1U) != 0; }

}  // namespace

void weave(const Texture& texture, std::uint32_t top, std::uint32_t left, const std::vector<std::uint8_t>& channels,
           Stream& stream, Rectangle& rectangle) {
  const Weave kind = texture.weave;
  const std::size_t num_channels = channels.size();
  const auto width = static_cast<std::uint32_t>(rectangle.length / num_channels);
  for (std::uint32_t column = 0; column < width; ++column) {
    bool is_high = true;
    if (kind == Weave::kColumns || kind == Weave::kChecks) {
      is_high = is_odd(left + column, texture.period);
    } else if (kind == Weave::kRandomColumns) {
      is_high = stream.below(2) != 0;
    }
    const std::uint8_t turn = is_high ? 0 : kHigh;
    for (std::size_t channel = 0; channel < num_channels; ++channel) {
      rectangle.picks_high[column * num_channels + channel] = static_cast<std::uint8_t>(channels[channel] ^ turn);
    }
  }
  rectangle.row_turns.clear();
  if (kind != Weave::kRows && kind != Weave::kChecks && kind != Weave::kRandomRows) {
    return;
  }
  for (std::uint32_t row = 0; row < rectangle.height; ++row) {
    bool is_turned = false;
    if (kind == Weave::kRows) {
      is_turned = !is_odd(top + row, texture.period);
    } else if (kind == Weave::kChecks) {
      is_turned = is_odd(top + row, texture.period);
    } else {
      is_turned = stream.below(2) == 0;
    }
    rectangle.row_turns.push_back(is_turned ? kHigh : 0);
  }
}

}  // namespace dfa
