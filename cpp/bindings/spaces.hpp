#pragma once

#include <cstdint>
#include <memory>
#include <variant>

#include "arrays.hpp"
#include "dfa/space/box.hpp"
#include "dfa/space/space.hpp"

namespace bindings {

/// What an original needs to be a space: one radius, one per coordinate, or a box with its renderer.
using Limits = std::variant<std::uint8_t, std::shared_ptr<dfa::RadiusMap>, std::shared_ptr<dfa::Box>>;

dfa::Space to_space(const dfa::ImageShape& shape, const Array<std::uint8_t>& original, const Limits& limits,
                    dfa::Domain domain);

}  // namespace bindings
