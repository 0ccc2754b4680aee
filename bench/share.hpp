/// \file
/// Measures a kernel as a share of the machine's peak of multiply-adds.
#pragma once

#include <benchmark/benchmark.h>

#include <algorithm>
#include <string>

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

/// Registers a kernel as NAME/1 and NAME/2, for so many threads as there are: `prepare(threads)` returns what is run.
template <class Prepare>
void register_share(const std::string& name, double operations, const Prepare& prepare) {
  for (const int count : {1, 2}) {
    if (count > available_threads()) continue;
    const auto measure = [=](benchmark::State& state) {
      const Threads threads(count);
      measure_share(state, threads, operations, prepare(threads));
    };
    benchmark::RegisterBenchmark(concat(name, '/', count).c_str(), measure)->UseRealTime()->Unit(benchmark::kMillisecond)->MinTime(0.1);
  }
}

}  // namespace tombola::bench
