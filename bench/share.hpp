/// \file
/// Measures a kernel as a share of the machine's peak of multiply-adds.
#pragma once

#include <benchmark/benchmark.h>

#include <algorithm>

#include "peak.hpp"

namespace tombola::bench {

/// Runs once to warm up, then as often as the benchmark asks. Counters: "flops" a second, "peak" of multiply-adds on as many threads, the
/// better of before and after, and "share" of it.
template <class Run>
void measure_share(benchmark::State& state, const Threads& threads, double operations, const Run& run) {
  run();
  double limit = peak<float>(threads);
  for (auto _ : state) {
    run();
    benchmark::ClobberMemory();
  }
  limit = std::max(limit, peak<float>(threads));
  using benchmark::Counter;
  state.counters["flops"] = Counter(operations, Counter::kIsIterationInvariantRate, Counter::kIs1000);
  state.counters["share"] = Counter(operations / limit, Counter::kIsIterationInvariantRate);
  state.counters["peak"] = Counter(limit, Counter::kDefaults, Counter::kIs1000);
}

}  // namespace tombola::bench
