#include "dfa/base/parallel.hpp"

#include <atomic>

#if defined(_OPENMP) && (defined(__unix__) || defined(__APPLE__))
#include <pthread.h>
#define DFA_HAS_FORK 1
#endif

namespace dfa {
namespace {

std::atomic<bool> is_child_without_threads{false};

}  // namespace

bool may_use_threads() {
#ifdef DFA_HAS_FORK
  // Only once there are threads to lose: a child of a process that never had any may begin its own.
  static const int registered = pthread_atfork(nullptr, nullptr, [] { is_child_without_threads = true; });
  static_cast<void>(registered);
#endif
  return !is_child_without_threads;
}

}  // namespace dfa
