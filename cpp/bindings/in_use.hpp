#pragma once

// Some calls release the GIL, and then other Python threads run. What these must not do is use the same object: they
// are refused, by a flag that each object carries and every call on it takes.

#include <atomic>
#include <stdexcept>
#include <string>
#include <utility>

#include "dfa/batch/batch.hpp"
#include "dfa/batch/curriculum.hpp"
#include "dfa/lattice/lattice.hpp"

namespace bindings {

/// Takes an object's flag for as long as it lives. Throws std::runtime_error where another call has it.
class Hold {
 public:
  Hold() = default;  ///< of nothing
  Hold(std::atomic<bool>& is_in_use, const char* name) : is_in_use_(&is_in_use) {
    if (is_in_use_->exchange(true, std::memory_order_acquire)) {
      throw std::runtime_error("this " + std::string(name) +
                               " is in use by another thread. It is for one thread at a time: give each thread its " +
                               "own, or hold a lock around every call");
    }
  }
  Hold(const Hold&) = delete;
  Hold& operator=(const Hold&) = delete;
  ~Hold() {
    if (is_in_use_ != nullptr) {
      is_in_use_->store(false, std::memory_order_release);
    }
  }

 private:
  std::atomic<bool>* is_in_use_ = nullptr;
};

/// An object of the core as Python has it.
template <typename Core>
class Held : public Core {
 public:
  using Core::Core;

  Hold hold() { return {is_in_use_, kName}; }

 private:
  static const char* const kName;
  std::atomic<bool> is_in_use_{false};
};

using HeldBatch = Held<dfa::Batch>;
using HeldCurriculum = Held<dfa::Curriculum>;
using HeldLatticeBatch = Held<dfa::LatticeBatch>;
template <>
inline const char* const HeldBatch::kName = "Batch";
template <>
inline const char* const HeldCurriculum::kName = "Curriculum";
template <>
inline const char* const HeldLatticeBatch::kName = "LatticeBatch";

/// The call, on an object that is held as long as it takes. `Object` has a member `hold`.
template <typename Object, typename Core, typename Result, typename... Arguments>
auto exclusive(Result (*call)(Core&, Arguments...)) {
  return [call](Object& object, Arguments... arguments) -> Result {
    const auto hold = object.hold();
    return call(object, std::forward<Arguments>(arguments)...);
  };
}
template <typename Object, typename Core, typename Result, typename... Arguments>
auto exclusive(Result (Core::*call)(Arguments...)) {
  return [call](Object& object, Arguments... arguments) -> Result {
    const auto hold = object.hold();
    return (object.*call)(std::forward<Arguments>(arguments)...);
  };
}
template <typename Object, typename Core, typename Result, typename... Arguments>
auto exclusive(Result (Core::*call)(Arguments...) const) {
  return [call](Object& object, Arguments... arguments) -> Result {
    const auto hold = object.hold();
    return (object.*call)(std::forward<Arguments>(arguments)...);
  };
}

}  // namespace bindings
