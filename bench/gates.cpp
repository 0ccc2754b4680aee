/// \file
/// The gate kernels: noise, forward, backward with Adam. Names: gates/<kernel>/<gates>/<threads>.
/// "per_gate": nanoseconds; "share": of the memory's triad speed, for the bytes that the kernel must move.
#include <benchmark/benchmark.h>

#include <string>
#include <vector>

#include "peak.hpp"
#include "tombola/kernels/gate_forward.hpp"
#include "tombola/kernels/gate_update.hpp"
#include "tombola/kernels/noise.hpp"

using namespace tombola;

namespace {

/// The arrays of one gate layer, as a search would hold them.
struct Layer {
  Index count;
  Tensor<float> theta, weight, product, m, v, dproduct;
  std::vector<std::uint64_t> open;
  std::vector<double> sums;

  explicit Layer(Index gates)
      : count(gates),
        theta(Tensor<float>::uninitialized({gates})),
        weight(Tensor<float>::filled({gates}, 0.1f)),
        product(Tensor<float>::filled({gates}, 0.f)),
        m(Tensor<float>::filled({gates}, 0.f)),
        v(Tensor<float>::filled({gates}, 0.f)),
        dproduct(Tensor<float>::uninitialized({gates})),
        open(static_cast<std::size_t>((gates + 63) / 64)),
        sums(static_cast<std::size_t>(kernels::gate_chunks(gates))) {
    kernels::fill_noise<kernels::NormalNoise>({1, Purpose::gate_noise, 0, 0}, 0, gates, theta.data());
    kernels::fill_noise<kernels::NormalNoise>({1, Purpose::gate_noise, 1, 0}, 0, gates, dproduct.data());
  }
  kernels::GateInput<float> input() const { return {count, theta.data(), weight.data(), 0.5f, nullptr}; }
};

void noise(const Threads& threads, Layer& layer, std::uint32_t step) {
  parallel_ranges(threads, layer.count, kernels::gate_grain, [&](Range range) {
    kernels::fill_noise<kernels::NormalNoise>({1, Purpose::gate_noise, 2, step}, range.first, range.size(),
                                              layer.product.data() + range.first);
  });
}

void forward(const Threads& threads, Layer& layer, std::uint32_t step) {
  kernels::gate_sample(threads, kernels::GaussianGate<float>{}, {1, Purpose::gate_noise, 3, step}, layer.input(),
                       {layer.product.data(), nullptr, layer.open.data(), nullptr, layer.sums.data()});
}

void update(const Threads& threads, Layer& layer, std::uint32_t step) {
  kernels::GateGradient<float> from;
  from.in = layer.input();
  from.dproduct = layer.dproduct.data();
  from.open = layer.open.data();
  from.penalty = Penalty::sparse;
  from.lambda = 1e-5f;
  const float t = static_cast<float>(step + 1);
  kernels::gate_adam(threads, kernels::GaussianGate<float>{}, from,
                     {0.9f, 0.999f, 1e-8f, 0.05f / (1 - std::pow(0.9f, t)), 1 / std::sqrt(1 - std::pow(0.999f, t)), -1.f, 1.25f},
                     layer.theta.data(), layer.m.data(), layer.v.data());
}

using Kernel = void (*)(const Threads&, Layer&, std::uint32_t step);

/// `bytes`: read and written for each gate, a bit a gate not counted.
void run(benchmark::State& state, Kernel kernel, double bytes, Index gates, int count) {
  const Threads threads(count);
  Layer layer(gates);
  forward(threads, layer, 0);
  double limit = bench::triad(threads);
  std::uint32_t step = 0;
  kernel(threads, layer, step++);  // after triad: a virtual machine may map all memory anew where some is given back
  for (auto _ : state) {
    kernel(threads, layer, step++);
    benchmark::ClobberMemory();
  }
  limit = std::max(limit, bench::triad(threads));
  using benchmark::Counter;
  const double size = static_cast<double>(gates);
  state.counters["per_gate"] = Counter(size * 1e-9, Counter::kIsIterationInvariantRate | Counter::kInvert);
  state.counters["share"] = Counter(size * bytes / limit, Counter::kIsIterationInvariantRate);
  state.counters["triad"] = Counter(limit, Counter::kDefaults, Counter::kIs1000);
}

}  // namespace

int main(int argc, char** argv) {
  benchmark::Initialize(&argc, argv);
  if (benchmark::ReportUnrecognizedArguments(argc, argv)) return 1;
  const struct {
    const char* name;
    Kernel kernel;
    double bytes;
  } kernels[] = {{"noise", noise, 4}, {"forward", forward, 12}, {"update", update, 32}};
  for (const auto& [name, kernel, bytes] : kernels) {
    for (const Index gates : {Index{266200}, Index{1} << 22, Index{1} << 25}) {
      for (const int threads : {1, 2}) {
        if (threads > available_threads()) continue;
        benchmark::RegisterBenchmark(concat("gates/", name, '/', gates, '/', threads).c_str(),
                                     [=, kernel = kernel, bytes = bytes](benchmark::State& state) {
                                       run(state, kernel, bytes, gates, threads);
                                     })
            ->UseRealTime()
            ->Unit(benchmark::kMicrosecond)
            ->MinTime(0.2);
      }
    }
  }
  benchmark::RunSpecifiedBenchmarks();
}
