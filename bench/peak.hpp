/// \file
/// The machine's limit on multiply-adds, measured beside whatever is compared with it.
#pragma once

#include <algorithm>
#include <chrono>

#include "tombola/core/parallel.hpp"
#include "tombola/kernels/simd.hpp"

namespace tombola::bench {

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

/// Operations a second (a multiply-add counts two) of `threads` threads together, the best of five short runs.
template <class T>
double peak(int threads) {
  constexpr Index rounds = 100000, chains = 14;
  double best = 0;
  for (int run = 0; run < 5; ++run) {
    volatile T keep[1024];
    const auto begin = std::chrono::steady_clock::now();
    parallel_for(threads, threads, [&](Index chunk) { keep[chunk % 1024] = multiply_add_chains<T>(rounds); });
    const std::chrono::duration<double> seconds = std::chrono::steady_clock::now() - begin;
    best = std::max(best, 2.0 * chains * simd::width<T> * rounds * threads / seconds.count());
  }
  return best;
}

}  // namespace tombola::bench
