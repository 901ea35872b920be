#include <doctest/doctest.h>

#include <atomic>
#include <cstddef>
#include <stdexcept>
#include <thread>
#include <vector>

#include "dfa/base/parallel.hpp"

#if defined(__unix__) || defined(__APPLE__)
#include <sys/wait.h>
#include <unistd.h>
#define DFA_HAS_FORK 1
#endif

namespace {

constexpr std::size_t kEnough = dfa::kMinParallelBytes;

std::size_t team_size() {
#ifdef _OPENMP
  return static_cast<std::size_t>(omp_get_num_threads());
#else
  return 1;
#endif
}

#ifdef _OPENMP
constexpr bool kHasThreads = true;
#else
constexpr bool kHasThreads = false;
#endif

}  // namespace

TEST_CASE("every index is visited once, by a thread below the number of threads") {
  for (const std::size_t n : {0U, 1U, 2U, 7U, 1000U}) {
    for (const int threads : {1, 2, 7}) {
      for (const std::size_t bytes : {std::size_t{0}, kEnough - 1, kEnough}) {
        std::vector<int> visits(n, 0);
        std::atomic<bool> is_in_range{true};
        dfa::parallel_for(n, threads, bytes, [&](std::size_t i, std::size_t thread) {
          ++visits[i];
          is_in_range = is_in_range && thread < static_cast<std::size_t>(threads);
        });
        CHECK(visits == std::vector<int>(n, 1));
        CHECK(is_in_range);
      }
    }
  }
}

TEST_CASE("enough work is shared by all threads asked for") {
  std::atomic<std::size_t> team{0};
  dfa::parallel_for(100, 3, kEnough, [&](std::size_t, std::size_t) { team = team_size(); });
  CHECK(team == (kHasThreads ? 3U : 1U));
}

TEST_CASE("little work, one index or one thread stay on the calling thread, in order") {
  struct Work {
    std::size_t n;
    int threads;
    std::size_t bytes;
  };
  for (const Work& work : {Work{50, 7, kEnough - 1}, Work{1, 7, kEnough}, Work{50, 1, 100 * kEnough}}) {
    std::vector<std::size_t> order;
    dfa::parallel_for(work.n, work.threads, work.bytes, [&](std::size_t i, std::size_t thread) {
      order.push_back(i);
      CHECK(thread == 0);
      CHECK(team_size() == 1);
    });
    REQUIRE(order.size() == work.n);
    for (std::size_t i = 0; i < work.n; ++i) {
      CHECK(order[i] == i);
    }
  }
}

TEST_CASE("an exception leaves the loop on the calling thread with its type and message") {
  for (const int threads : {1, 2, 7}) {
    CAPTURE(threads);
    const auto caller = std::this_thread::get_id();
    bool is_caught = false;
    try {
      dfa::parallel_for(1000, threads, kEnough, [](std::size_t i, std::size_t) {
        if (i == 501) {
          throw std::out_of_range("index 501");
        }
      });
    } catch (const std::out_of_range& error) {
      is_caught = std::string(error.what()) == "index 501" && std::this_thread::get_id() == caller;
    }
    CHECK(is_caught);
  }
}

TEST_CASE("where every index throws, one exception arrives, and the next loop is whole") {
  for (const int threads : {1, 7}) {
    CHECK_THROWS_AS(dfa::parallel_for(64, threads, kEnough, [](std::size_t, std::size_t) { throw 3; }), int);
    std::atomic<int> count{0};
    dfa::parallel_for(64, threads, kEnough, [&](std::size_t, std::size_t) { ++count; });
    CHECK(count == 64);
  }
}

#ifdef DFA_HAS_FORK
TEST_CASE("a process that is forked from one with threads runs serially, and ends") {
  dfa::parallel_for(100, 3, kEnough, [](std::size_t, std::size_t) {});
  const pid_t child = fork();
  if (child == 0) {
    alarm(30);  // ends a child that waits for threads that it does not have
    std::size_t visits = 0;
    bool is_alone = true;
    dfa::parallel_for(100, 3, kEnough, [&](std::size_t, std::size_t thread) {
      ++visits;
      is_alone = is_alone && thread == 0 && team_size() == 1;
    });
    _exit(visits == 100 && is_alone ? 0 : 1);
  }
  int status = -1;
  REQUIRE(waitpid(child, &status, 0) == child);
  CHECK(status == 0);
  std::atomic<std::size_t> team{0};
  dfa::parallel_for(100, 3, kEnough, [&](std::size_t, std::size_t) { team = team_size(); });
  CHECK(team == (kHasThreads ? 3U : 1U));  // the parent has its threads still
}
#endif
