#pragma once

#include <cstddef>
#include <exception>

#ifdef _OPENMP
#include <omp.h>
#endif

namespace dfa {

/// Below this many bytes of work a parallel region costs more than it saves.
constexpr std::size_t kMinParallelBytes = 1U << 20U;

/// Whether a parallel region can be run here: false in a process that was forked from one that had run some, since its
/// runtime believes in threads that a fork does not copy, and would wait for them for ever.
bool may_use_threads();

/// Calls body(i, thread) for i in 0..n-1, thread in 0..threads-1. The first exception is rethrown after the loop.
/// `bytes` estimates the memory traffic of the whole loop.
template <typename Body>
void parallel_for(std::size_t n, int threads, std::size_t bytes, Body&& body) {
#ifdef _OPENMP
  if (threads > 1 && n > 1 && bytes >= kMinParallelBytes && may_use_threads()) {
    std::exception_ptr failure;
    const auto count = static_cast<std::ptrdiff_t>(n);
#pragma omp parallel for num_threads(threads) schedule(dynamic, 4)
    for (std::ptrdiff_t i = 0; i < count; ++i) {
      try {
        body(static_cast<std::size_t>(i), static_cast<std::size_t>(omp_get_thread_num()));
      } catch (...) {
#pragma omp critical(dfa_parallel_for)
        if (!failure) {
          failure = std::current_exception();
        }
      }
    }
    if (failure) {
      std::rethrow_exception(failure);
    }
    return;
  }
#else
  static_cast<void>(threads);
  static_cast<void>(bytes);
#endif
  for (std::size_t i = 0; i < n; ++i) {
    body(i, 0);
  }
}

}  // namespace dfa
