/// \file
/// The machine's limits, measured beside whatever is compared with them: multiply-adds and memory.
#pragma once

#include <algorithm>
#include <atomic>
#include <cassert>
#include <chrono>

#include "tombola/core/parallel.hpp"
#include "tombola/core/tensor.hpp"
#include "tombola/kernels/simd.hpp"

namespace tombola::bench {

/// Seconds of the fastest of five calls.
template <class F>
double fastest(const F& f) {
  double best = 1e300;
  for (int run = 0; run < 5; ++run) {
    const auto begin = std::chrono::steady_clock::now();
    f();
    best = std::min(best, std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count());
  }
  return best;
}

/// Independent multiply-adds on registers alone, twice as many chains as the units and their latency need: 2 ms of them on every
/// thread, as long as a large product takes. (Of a tenth of that, the time to wake a thread was a part.)
template <class T>
struct MultiplyAdds {
  static constexpr Index rounds = 1000000;
  static constexpr int chains = 14;
  const Threads& threads;

  void run() const {
    volatile T keep[1024];
    parallel_for(threads, threads.count(), [&](Index chunk) { keep[chunk % 1024] = run_chains(); });
  }
  /// A multiply-add counts two.
  double operations() const { return 2.0 * chains * static_cast<double>(simd::width<T> * rounds * threads.count()); }

 private:
  [[gnu::noinline]] static T run_chains() {
    using Batch = simd::Batch<T>;
    Batch sums[chains], factor(T(0.999)), term(T(1e-3));
    for (Batch& sum : sums) sum = Batch(T(1));
    for (Index i = 0; i < rounds; ++i) {
#pragma GCC unroll 14
      for (int j = 0; j < chains; ++j) sums[j] = simd::fma(sums[j], factor, term);
    }
    T total = 0;
    for (const Batch& sum : sums) total += simd::sum(sum);
    return total;
  }
};

/// Operations a second of all threads together: of the fastest of five.
template <class T>
double peak(const Threads& threads) {
  const MultiplyAdds<T> some{threads};
  return some.operations() / fastest([&] { some.run(); });
}

/// The same kept up for a tenth of a second: whatever interrupts a thread counts, as it does in what is compared with the peak.
template <class T>
double sustained_peak(const Threads& threads) {
  const MultiplyAdds<T> some{threads};
  const auto begin = std::chrono::steady_clock::now();
  double seconds = 0;
  Index runs = 0;
  for (; seconds < 0.1; ++runs) {
    some.run();
    seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
  }
  return some.operations() * static_cast<double>(runs) / seconds;
}

/// Seconds that a cache line takes from one of two threads to the other: they write it by turns. A host may hold two processors near each
/// other or far apart, and change it from one minute to the next. Two threads: one alone would wait for ever.
inline double handover(const Threads& threads) {
  assert(threads.count() == 2);
  constexpr int rounds = 2000;
  alignas(64) std::atomic<int> turn{0};
  const double seconds = fastest([&] {
    turn = 0;
    parallel_for(threads, 2, [&](Index thread) {
      for (int i = 0; i < rounds; ++i) {
        while (turn.load(std::memory_order_acquire) != 2 * i + thread) detail::relax();
        turn.store(2 * i + static_cast<int>(thread) + 1, std::memory_order_release);
      }
    });
  });
  return seconds / (2 * rounds);
}

/// Bytes a second that a[i] = b[i] + s c[i] moves on arrays far larger than the caches; three for each element, as the
/// STREAM benchmark counts them.
inline double triad(const Threads& threads) {
  constexpr Index size = Index{1} << 24, grain = 1 << 16;
  auto a = Tensor<float>::filled({size}, 0.f);
  const auto b = Tensor<float>::filled({size}, 1.f), c = Tensor<float>::filled({size}, 2.f);
  const double seconds = fastest([&] {
    parallel_ranges(threads, size, grain, [&](Range range) {
      for (Index i = range.first; i < range.last; i += simd::width<float>) {
        simd::store(a.data() + i, simd::fma(simd::load(c.data() + i), simd::Batch<float>(0.5f), simd::load(b.data() + i)));
      }
    });
  });
  return 3.0 * sizeof(float) * size / seconds;
}

}  // namespace tombola::bench
