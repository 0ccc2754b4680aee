/// \file
/// The machine's limits, measured beside whatever is compared with them: multiply-adds and memory.
#pragma once

#include <algorithm>
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

/// Independent multiply-adds on registers alone: twice as many chains as the units and their latency need.
template <class T>
[[gnu::noinline]] T multiply_add_chains(Index rounds) {
  constexpr int chains = 14;
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

/// Operations a second (a multiply-add counts two) of all threads together.
template <class T>
double peak(const Threads& threads) {
  constexpr Index rounds = 1000000, chains = 14;  // some 2 ms: a tenth of it was of the order of the time to wake a thread
  volatile T keep[1024];
  const double seconds = fastest([&] {
    parallel_for(threads, threads.count(), [&](Index chunk) { keep[chunk % 1024] = multiply_add_chains<T>(rounds); });
  });
  return 2.0 * chains * static_cast<double>(simd::width<T> * rounds * threads.count()) / seconds;
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
