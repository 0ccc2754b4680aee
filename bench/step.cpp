/// \file
/// Whole training steps of LeNet-300-100, batch 128: forward, backward, update. Names: step/<what>/<threads>.
/// "floor": the time over the step's products at the peak of multiply-adds of the same run.
#include <benchmark/benchmark.h>

#include <string>

#include "peak.hpp"
#include "tombola/models/lenet.hpp"
#include "tombola/optim/adam.hpp"
#include "tombola/optim/sgd.hpp"
#include "tombola/ops/cross_entropy.hpp"

using namespace tombola;

namespace {

constexpr Index batch = 128;

/// Operations of the step's products: y = x w^T for all layers, the weights' gradient where there is one, and the inputs'
/// gradient except for the first layer's.
double operations(const models::LeNetOptions& options, bool weight_gradient) {
  double sum = 0;
  Index in = options.inputs;
  std::vector<Index> widths = options.hidden;
  widths.push_back(options.outputs);
  for (std::size_t l = 0; l < widths.size(); ++l) {
    const int products = 1 + weight_gradient + (l > 0);
    sum += products * 2.0 * static_cast<double>(batch * in * widths[l]);
    in = widths[l];
  }
  return sum;
}

template <template <class> class Source>
void run(benchmark::State& state, const nn::Init& init, const models::LeNetOptions& options, bool weight_gradient, int threads) {
  Context context(threads);
  models::LeNet<Source> model(init, options);
  const auto gates = nn::gates(model);
  optim::Adam<float> adam(context, gates, {.rate = 0.001});
  optim::Sgd<float> sgd(context, nn::parameters(model), {.rate = 1e-4});
  auto x = Tensor<float>::uninitialized({batch, options.inputs});
  kernels::fill_noise<kernels::NormalNoise>({1, Purpose::gate_noise, 77, 0}, 0, x.size(), x.data());
  std::vector<std::int32_t> labels(static_cast<std::size_t>(batch));
  for (std::size_t i = 0; i < labels.size(); ++i) labels[i] = static_cast<std::int32_t>(i * 7 % 10);
  std::uint32_t step = 0;

  double limit = bench::peak<float>(context.threads());
  for (auto _ : state) {
    Tape<float> tape(context, {.seed = 1, .step = step++});
    const Var<float> loss = cross_entropy(model(tape.input(x.view())), View<const std::int32_t>(labels.data(), {batch}));
    tape.backward(loss);
    for (auto* gate : gates) {
      gate->penalty = Penalty::sparse;
      gate->penalty_weight = 1e-5f;
    }
    adam.step();
    sgd.step();
    benchmark::DoNotOptimize(loss.item());
  }
  limit = std::max(limit, bench::peak<float>(context.threads()));
  using benchmark::Counter;
  const double floor = operations(options, weight_gradient) / limit;
  state.counters["floor"] = Counter(floor, Counter::kIsIterationInvariantRate | Counter::kInvert);
  state.counters["peak"] = Counter(limit, Counter::kDefaults, Counter::kIs1000);
}

template <class F>
void add(const std::string& name, const F& f) {
  for (const int threads : {1, 2}) {
    if (threads > available_threads()) continue;
    benchmark::RegisterBenchmark(concat("step/", name, '/', threads).c_str(), [=](benchmark::State& state) { f(state, threads); })
        ->UseRealTime()
        ->Unit(benchmark::kMicrosecond)
        ->MinTime(0.5);
  }
}

}  // namespace

int main(int argc, char** argv) {
  benchmark::Initialize(&argc, argv);
  if (benchmark::ReportUnrecognizedArguments(argc, argv)) return 1;
  const nn::Init init{.seed = 1, .rescale = Rescale::layer};
  add("lenet-gated", [=](benchmark::State& state, int threads) { run<nn::Gated>(state, init, {}, true, threads); });
  add("lenet-dense", [=](benchmark::State& state, int threads) { run<nn::Trained>(state, init, {}, true, threads); });
  add("lenet-units",
      [=](benchmark::State& state, int threads) { run<nn::Frozen>(state, init, {.unit_gates = true}, false, threads); });
  benchmark::RunSpecifiedBenchmarks();
}
