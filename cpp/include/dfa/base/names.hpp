#pragma once

#include <cstddef>
#include <stdexcept>
#include <string>

namespace dfa {

/// The value of an enumeration that a name stands for; names_of(Enum) lists them all, in the order of the values from
/// 0 on. Throws std::invalid_argument with `what` and these names where there is none.
template <typename Enum>
Enum named(const char* what, const std::string& name) {
  const auto names = names_of(Enum());
  std::string known;
  for (std::size_t i = 0; i < names.size(); ++i) {
    if (name == names[i]) {
      return static_cast<Enum>(i);
    }
    known += std::string(i == 0 ? "" : ", ") + "'" + names[i] + "'";
  }
  throw std::invalid_argument(std::string(what) + " must be one of " + known + ", got '" + name + "'");
}

}  // namespace dfa
