/// \file
/// Measures kernels of several libraries as shares of the machine's peak of multiply-adds.
#pragma once

#include <benchmark/benchmark.h>

#include <algorithm>
#include <functional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "peak.hpp"

namespace tombola::bench {

/// A library's way to run one thing again and again.
using Run = std::function<void()>;

/// Runs once to warm up, then as often as the benchmark asks. Counters: "flops" a second, "peak" of multiply-adds on as many threads, the
/// better of before and after, and "share" of it; where `own`, the share of it that multiply-adds alone have "sustained" just after and,
/// of two threads, the seconds that the "handover" of a cache line takes.
inline void measure_share(benchmark::State& state, const Threads& threads, double operations, const Run& run, bool own) {
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
  if (!own) return;
  state.counters["sustained"] = Counter(sustained_peak<float>(threads) / limit);
  if (threads.count() == 2) state.counters["handover"] = Counter(handover(threads));
}

struct Library {
  const char* name;
  std::function<Run(const Threads&)> prepare;
};

/// A library for each of `ways`, each a name and a way: `bind(way, threads)` is what is run.
template <class Way, class Bind>
std::vector<Library> prepared(const std::vector<std::pair<const char*, Way>>& ways, const Bind& bind) {
  std::vector<Library> all;
  for (const auto& [name, way] : ways) all.push_back({name, [bind, way = way](const Threads& threads) { return bind(way, threads); }});
  return all;
}

/// Registers FAMILY/LIBRARY/CASE/1 and .../2, for so many threads as there are; the libraries of a case follow each other, so that what is
/// compared is measured within seconds.
inline void register_shares(const std::string& family, const std::string& case_name, double operations, const std::vector<Library>& libraries) {
  for (const int count : {1, 2}) {
    if (count > available_threads()) continue;
    for (const Library& library : libraries) {
      const bool own = library.name == std::string_view("tombola");
      const auto measure = [=, prepare = library.prepare](benchmark::State& state) {
        const Threads threads(count);
        measure_share(state, threads, operations, prepare(threads), own);
      };
      const std::string name = concat(family, '/', library.name, '/', case_name, '/', count);
      benchmark::RegisterBenchmark(name.c_str(), measure)->UseRealTime()->Unit(benchmark::kMillisecond)->MinTime(0.1);
    }
  }
}

}  // namespace tombola::bench
