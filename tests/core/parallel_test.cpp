#include "tombola/core/parallel.hpp"

#include <doctest/doctest.h>

#include <bit>
#include <chrono>
#include <cmath>
#include <cstdint>
#include <vector>

#include "tombola/core/random.hpp"

using namespace tombola;

namespace {
constexpr int thread_counts[] = {1, 2, 3, 7, 33};
}

TEST_CASE("parallel_for: every chunk once, by a worker that exists") {
  for (const int threads : thread_counts) {
    for (const Index chunks : {Index{1}, Index{2}, Index{5}, Index{7}, Index{1000}}) {
      CAPTURE(threads);
      CAPTURE(chunks);
      std::vector<std::atomic<int>> calls(static_cast<std::size_t>(chunks));
      std::atomic<int> strangers{0};
      parallel_for(threads, chunks, [&](Index chunk, int worker) {
        ++calls[static_cast<std::size_t>(chunk)];
        if (worker < 0 || worker >= threads) ++strangers;
      });
      CHECK(std::all_of(calls.begin(), calls.end(), [](const auto& count) { return count == 1; }));
      CHECK(strangers == 0);
    }
  }
}

TEST_CASE("parallel_for: a body without a worker") {
  std::vector<int> squares(100);
  parallel_for(3, 100,
               [&](Index chunk) { squares[static_cast<std::size_t>(chunk)] = static_cast<int>(chunk * chunk); });
  for (int i = 0; i < 100; ++i) CHECK(squares[static_cast<std::size_t>(i)] == i * i);
}

TEST_CASE("parallel_for: nothing to do calls nothing") {
  for (const int threads : thread_counts) {
    int calls = 0;
    parallel_for(threads, 0, [&](Index) { ++calls; });
    parallel_ranges(threads, 0, 16, [&](Range) { ++calls; });
    CHECK(calls == 0);
  }
}

TEST_CASE("parallel_for: two threads run at the same time") {
  // Each chunk waits for the other to begin; one thread alone would give up after ten seconds.
  std::atomic<int> begun{0}, met{0};
  parallel_for(2, 2, [&](Index) {
    ++begun;
    const auto patience = std::chrono::steady_clock::now() + std::chrono::seconds(10);
    while (begun < 2 && std::chrono::steady_clock::now() < patience) {
    }
    if (begun == 2) ++met;
  });
  CHECK(met == 2);
}

TEST_CASE("parallel_for: inside another one") {
  std::vector<std::atomic<int>> calls(6 * 5);
  parallel_for(3, 6, [&](Index outer) {
    parallel_for(2, 5, [&](Index inner) { ++calls[static_cast<std::size_t>(outer * 5 + inner)]; });
  });
  CHECK(std::all_of(calls.begin(), calls.end(), [](const auto& count) { return count == 1; }));
}

TEST_CASE("parallel_ranges: every element once, chunks of the grain and a tail") {
  for (const int threads : thread_counts) {
    for (const Index count : {Index{1}, Index{15}, Index{16}, Index{17}, Index{1000}}) {
      CAPTURE(threads);
      CAPTURE(count);
      std::vector<std::atomic<int>> calls(static_cast<std::size_t>(count));
      std::atomic<int> wrong{0};
      parallel_ranges(threads, count, 16, [&](Range range, Index chunk) {
        const bool last = chunk == (count - 1) / 16;
        if (range.first != 16 * chunk || range.size() != (last ? count - 16 * chunk : 16)) ++wrong;
        for (Index i = range.first; i < range.last; ++i) ++calls[static_cast<std::size_t>(i)];
      });
      CHECK(std::all_of(calls.begin(), calls.end(), [](const auto& calls_of_one) { return calls_of_one == 1; }));
      CHECK(wrong == 0);
    }
  }
}

TEST_CASE("parallel_ranges: a sum per chunk, added in order, has the same bits for any number of threads") {
  // Floats of very different sizes, so that another order of addition would show.
  constexpr Index count = 100'003, grain = 1000;
  Sequence draws(Stream{.seed = 1, .purpose = Purpose::control});
  std::vector<float> numbers(count);
  for (float& number : numbers) {
    const auto mantissa = static_cast<float>(draws.next());
    number = std::ldexp(mantissa, -static_cast<int>(draws.below(60)));
  }
  const auto sum = [&](int threads) {
    std::vector<float> parts((count + grain - 1) / grain);
    parallel_ranges(threads, count, grain, [&](Range range, Index chunk) {
      float part = 0;
      for (Index i = range.first; i < range.last; ++i) part += numbers[static_cast<std::size_t>(i)];
      parts[static_cast<std::size_t>(chunk)] = part;
    });
    float total = 0;
    for (const float part : parts) total += part;
    return total;
  };
  float straight = 0;
  for (const float number : numbers) straight += number;
  const float one = sum(1);
  CHECK(std::bit_cast<std::uint32_t>(one) != std::bit_cast<std::uint32_t>(straight));  // the order does matter here
  for (const int threads : thread_counts)
    for (int repeat = 0; repeat < 5; ++repeat)
      CHECK(std::bit_cast<std::uint32_t>(sum(threads)) == std::bit_cast<std::uint32_t>(one));
}
