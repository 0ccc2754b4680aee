/// \file
/// What the tape costs: a chain of tiny ops, forward and backward, and a loop shared by a team for nothing.
/// "per_op": seconds for one op, or one loop.
#include <benchmark/benchmark.h>

#include "tombola/autograd/pass.hpp"
#include "tombola/core/parallel.hpp"
#include "tombola/ops/relu.hpp"
#include "tombola/ops/sum.hpp"

using namespace tombola;

namespace {

constexpr Index length = 1000;

void per_op(benchmark::State& state, double ops) {
  state.counters["per_op"] = benchmark::Counter(ops, benchmark::Counter::kIsIterationInvariantRate | benchmark::Counter::kInvert);
}

void forward_and_backward(benchmark::State& state) {
  Context context(1);
  const auto x = Tensor<float>::filled({16}, 0.5f);
  for (auto _ : state) {
    Tape<float> tape(context);
    Var<float> y = tape.variable(x.view());
    for (Index i = 0; i < length; ++i) y = relu(y);
    tape.backward(sum(y));
  }
  per_op(state, static_cast<double>(length));
}

void inference(benchmark::State& state) {
  Context context(1);
  const auto x = Tensor<float>::filled({16}, 0.5f);
  for (auto _ : state) {
    Inference<float> pass(context);
    Var<float> y = pass.input(x.view());
    for (Index i = 0; i < length; ++i) y = relu(y);
    benchmark::DoNotOptimize(y.value()[0]);
  }
  per_op(state, static_cast<double>(length));
}

void empty_loop(benchmark::State& state) {
  const Threads threads(static_cast<int>(state.range(0)));
  for (auto _ : state) {
    for (Index i = 0; i < length; ++i) parallel_for(threads, 16, [](Index chunk) { benchmark::DoNotOptimize(chunk); });
  }
  per_op(state, static_cast<double>(length));
}

BENCHMARK(forward_and_backward)->Name("tape/relu_forward_and_backward")->Unit(benchmark::kMicrosecond);
BENCHMARK(inference)->Name("tape/relu_inference")->Unit(benchmark::kMicrosecond);
BENCHMARK(empty_loop)->Name("tape/empty_loop")->Arg(1)->Arg(2)->UseRealTime()->Unit(benchmark::kMicrosecond);

}  // namespace

BENCHMARK_MAIN();
