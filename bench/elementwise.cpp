/// \file
/// Elementwise loops, reductions, softmax and normalisation, small and large. Names: elementwise/<kernel>/<elements>/<threads>.
/// "bytes": read and written a second; "share": of the memory's triad speed (above one where the data fits into a cache).
#include <benchmark/benchmark.h>

#include <functional>
#include <string>

#include "peak.hpp"
#include "tombola/core/memory.hpp"
#include "tombola/kernels/batch_norm.hpp"
#include "tombola/kernels/elementwise.hpp"
#include "tombola/kernels/reduce.hpp"
#include "tombola/kernels/softmax.hpp"

using namespace tombola;

namespace {

constexpr Index columns = 256;  // of the arrays that have rows

struct Arrays {
  Index size;
  Tensor<float> x, y, z, v, sums;
  Workspace scratch;

  explicit Arrays(Index elements)
      : size(elements),
        x(Tensor<float>::uninitialized({elements})),
        y(Tensor<float>::filled({elements}, 0.5f)),
        z(Tensor<float>::filled({elements}, 0.25f)),
        v(Tensor<float>::filled({columns}, 1.5f)),
        sums({2, columns}) {
    for (Index i = 0; i < size; ++i) x[i] = static_cast<float>(i % 97) / 97 - 0.5f;
  }
  Index rows() const { return size / columns; }
};

struct Kernel {
  const char* name;
  double arrays;  ///< passes over memory: arrays read and written
  std::function<void(const Threads&, Arrays&)> run;
};

const Kernel kernels_to_run[] = {
    {"relu", 2,
     [](const Threads& threads, Arrays& a) {
       kernels::map(threads, a.size, [](const auto& v) { return simd::max(v, v * 0.0f); }, a.y.data(), a.x.data());
     }},
    {"multiply", 3,
     [](const Threads& threads, Arrays& a) {
       kernels::map(threads, a.size, [](const auto& u, const auto& v) { return u * v; }, a.y.data(), a.x.data(), a.z.data());
     }},
    {"scale_columns", 2,
     [](const Threads& threads, Arrays& a) {
       kernels::map_columns(threads, a.rows(), columns, [](const auto& u, const auto& v) { return u * v; }, a.y.data(), a.x.data(),
                            a.v.data());
     }},
    {"sum", 1,
     [](const Threads& threads, Arrays& a) {
       a.y[0] = static_cast<float>(
           kernels::reduce<float>(threads, a.scratch, a.size, [](const auto& v) { return v; }, static_cast<const float*>(a.x.data())));
     }},
    {"sum_of_rows", 1,
     [](const Threads& threads, Arrays& a) {
       kernels::reduce_rows(threads, a.scratch, a.rows(), columns, [](const auto& v) { return v; }, 0.0f, a.v.data(),
                                   static_cast<const float*>(a.x.data()));
     }},
    {"softmax", 2,
     [](const Threads& threads, Arrays& a) { kernels::softmax(threads, a.rows(), columns, a.x.data(), a.y.data()); }},
    {"column_moments", 1,
     [](const Threads& threads, Arrays& a) {
       kernels::column_moments(threads, a.scratch, a.rows(), columns, a.x.data(), a.sums.data(), a.sums.data() + columns);
     }},
    {"batch_norm_backward", 5,  // x and dy twice: all rows are summed before the first is written
     [](const Threads& threads, Arrays& a) {
       const float* v = a.v.data();
       const kernels::BatchNormBackward<float> of{.x = a.x.data(), .dy = a.z.data(), .mean = v, .inverse = v, .scale = v, .shift = v, .relu = true};
       kernels::batch_norm_backward(threads, a.scratch, a.rows(), columns, of, a.y.data(), a.sums.data(), a.sums.data() + columns);
     }},
};

void run(benchmark::State& state, const Kernel& kernel, Index elements, int count) {
  const Threads threads(count);
  Arrays arrays(elements);
  double limit = bench::triad(threads);
  kernel.run(threads, arrays);  // after triad: a virtual machine may map all memory anew where some is given back
  for (auto _ : state) {
    kernel.run(threads, arrays);
    benchmark::ClobberMemory();
  }
  limit = std::max(limit, bench::triad(threads));
  const double bytes = kernel.arrays * sizeof(float) * static_cast<double>(elements);
  using benchmark::Counter;
  state.counters["bytes"] = Counter(bytes, Counter::kIsIterationInvariantRate);
  state.counters["share"] = Counter(bytes / limit, Counter::kIsIterationInvariantRate);
}

}  // namespace

int main(int argc, char** argv) {
  benchmark::Initialize(&argc, argv);
  if (benchmark::ReportUnrecognizedArguments(argc, argv)) return 1;
  for (const Kernel& kernel : kernels_to_run) {
    for (const Index elements : {Index{1024}, Index{38400}, Index{1} << 24}) {
      for (const int threads : {1, 2}) {
        if (threads > available_threads()) continue;
        benchmark::RegisterBenchmark(concat("elementwise/", kernel.name, '/', elements, '/', threads).c_str(),
                                     [=, &kernel](benchmark::State& state) { run(state, kernel, elements, threads); })
            ->UseRealTime()
            ->Unit(benchmark::kMicrosecond)
            ->MinTime(0.1);
      }
    }
  }
  benchmark::RunSpecifiedBenchmarks();
}
