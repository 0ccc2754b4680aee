#include "tombola/core/threads.hpp"

#include <doctest/doctest.h>

#include <algorithm>
#include <chrono>
#include <numeric>
#include <vector>

#include "tombola/core/parallel.hpp"

using namespace tombola;

TEST_CASE("threads: one team, many short loops of changing length") {
  // Short loops follow each other while workers still look for chunks of the one before: none may be claimed twice or lost.
  for (const int count : {2, 3, 7}) {
    const Threads threads(count);
    std::vector<int> calls;
    for (Index loop = 0; loop < 20000; ++loop) {
      calls.assign(static_cast<std::size_t>(2 + loop % 13), 0);
      parallel_for(threads, static_cast<Index>(calls.size()),
                   [&, loop](Index chunk) { calls[static_cast<std::size_t>(chunk)] += static_cast<int>(loop) + 1; });
      const bool once =
          std::all_of(calls.begin(), calls.end(), [loop](int value) { return value == static_cast<int>(loop) + 1; });
      REQUIRE(once);
    }
  }
}

TEST_CASE("threads: what a loop wrote is seen after it, and by the next one") {
  const Threads threads(3);
  std::vector<long> values(64, 1);
  for (int round = 0; round < 500; ++round) {
    parallel_for(threads, 64, [&](Index i) { values[static_cast<std::size_t>(i)] += values[static_cast<std::size_t>(i)] % 7 + 1; });
    parallel_for(threads, 32, [&](Index i) { std::swap(values[static_cast<std::size_t>(i)], values[static_cast<std::size_t>(63 - i)]); });
  }
  std::vector<long> expected(64, 1);
  for (int round = 0; round < 500; ++round) {
    for (long& value : expected) value += value % 7 + 1;
    std::reverse(expected.begin(), expected.end());
  }
  CHECK(values == expected);
}

TEST_CASE("threads: workers that fell asleep wake up") {
  const Threads threads(2);
  for (int round = 0; round < 3; ++round) {
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
    std::atomic<int> begun{0}, met{0};
    parallel_for(threads, 2, [&](Index) {  // each waits for the other; one thread alone would give up after ten seconds
      ++begun;
      const auto patience = std::chrono::steady_clock::now() + std::chrono::seconds(10);
      while (begun < 2 && std::chrono::steady_clock::now() < patience) std::this_thread::yield();
      if (begun == 2) ++met;
    });
    CHECK(met == 2);
  }
}

TEST_CASE("threads: a caller sleeps until the last claimed chunk has returned") {
  const Threads threads(2);
  std::atomic<int> done{0};
  std::atomic<bool> claimed{false};
  parallel_for(threads, 2, [&](Index, int worker) {
    if (worker == 1) {
      claimed = true;
      std::this_thread::sleep_for(std::chrono::milliseconds(20));
    } else {
      while (!claimed && done == 0) std::this_thread::yield();
    }
    ++done;
  });
  CHECK(done == 2);
}

TEST_CASE("threads: shared by two callers at once, a loop runs on its caller alone") {
  const Threads threads(3);
  const auto sums = [&threads] {
    bool right = true;
    for (int round = 0; round < 2000; ++round) {
      std::vector<Index> squares(50);
      parallel_for(threads, 50, [&](Index i) { squares[static_cast<std::size_t>(i)] = i * i; });
      right = right && std::accumulate(squares.begin(), squares.end(), Index{0}) == 49 * 50 * 99 / 6;
    }
    return right;
  };
  bool other = false;
  std::thread user([&] { other = sums(); });
  const bool own = sums();
  user.join();
  CHECK(own);
  CHECK(other);
}

TEST_CASE("threads: moved") {
  Threads first(2);
  const Threads second(std::move(first));
  std::atomic<int> calls{0};
  parallel_for(second, 10, [&](Index) { ++calls; });
  CHECK(calls == 10);
  parallel_for(first, 10, [&](Index) { ++calls; });  // what is left is one thread
  CHECK((calls == 20 && first.count() == 1));
  Threads third(1);
  third = Threads(3);
  parallel_for(third, 10, [&](Index) { ++calls; });
  CHECK((calls == 30 && third.count() == 3));
}
