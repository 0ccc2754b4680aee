/// \file
/// Whole training steps: forward, backward, update. Names: step/<what>/<threads>. LeNet-300-100 (ReLU, or PReLU), Conv-6 and ResNet-50 (ImageNet
/// stem, on images of 32 x 32 like the others) with batches of 128; a vision transformer of 384 columns, depth 6 and patches of 4, batches of 64.
/// "floor": the time over the step's products at the peak of multiply-adds of the same run.
#include <benchmark/benchmark.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <string>
#include <tuple>
#include <vector>

#include "peak.hpp"
#include "tombola/models/conv_n.hpp"
#include "tombola/models/lenet.hpp"
#include "tombola/models/resnet.hpp"
#include "tombola/models/vit.hpp"
#include "tombola/ops/cross_entropy.hpp"
#include "tombola/ops/prelu.hpp"
#include "tombola/optim/adam.hpp"
#include "tombola/optim/sgd.hpp"

using namespace tombola;

namespace {

/// Operations of a step's products: forward, the weights' gradient where there is one, and the inputs' gradient but for the first layer's.
class Operations {
 public:
  explicit Operations(bool weight_gradient, Index batch = 128) : products_(2 + weight_gradient), batch_(batch) {}
  /// A layer that makes `outputs` numbers an image from `terms` terms each.
  Operations& layer(Index outputs, Index terms) {
    const int products = products_ - (layers_++ == 0);
    sum_ += products * 2.0 * static_cast<double>(batch_ * outputs) * static_cast<double>(terms);
    return *this;
  }
  double sum() const { return sum_; }

 private:
  int products_, layers_ = 0;
  Index batch_;
  double sum_ = 0;
};

double lenet_operations(bool weight_gradient) {
  return Operations(weight_gradient).layer(300, 784).layer(100, 300).layer(10, 100).sum();
}
double conv6_operations() {
  Operations all(true);
  Index in = 3, size = 32;
  for (const Index out : {64, 128, 256}) {
    all.layer(size * size * out, 9 * in).layer(size * size * out, 9 * out);
    in = out;
    size /= 2;
  }
  return all.layer(256, 4096).layer(256, 256).layer(10, 256).sum();
}

/// Of ResNet-50 with the ImageNet stem on images of 32 x 32; taps that read padding alone are not counted.
double resnet50_operations() {
  Operations all(true);
  const auto taps = [](Index size, Index kernel, Index stride) {  // of all outputs along one axis
    Index inside = 0;
    for (Index at = -(kernel / 2); at + kernel / 2 < size; at += stride) {
      for (Index tap = at; tap < at + kernel; ++tap) inside += tap >= 0 && tap < size;
    }
    return inside;
  };
  const auto convolution = [&](Index size, Index in, Index out, Index kernel, Index stride) {
    const Index along = taps(size, kernel, stride);
    all.layer(along * along * out, in);
  };
  convolution(32, 3, 64, 7, 2);
  Index in = 64, size = 8;  // the stem halves, the pool halves again
  for (int stage = 0; stage < 4; ++stage) {
    const Index width = Index{64} << stage;
    for (int block = 0; block < std::array{3, 4, 6, 3}[static_cast<std::size_t>(stage)]; ++block) {
      const Index stride = stage > 0 && block == 0 ? 2 : 1;
      convolution(size, in, width, 1, 1);
      convolution(size, width, width, 3, stride);
      if (block == 0) convolution(size, in, 4 * width, 1, stride);
      size /= stride;
      convolution(size, width, 4 * width, 1, 1);
      in = 4 * width;
    }
  }
  return all.layer(10, 2048).sum();
}

/// Attention's products count once each: those that backward computes again are its own affair.
double vit_operations(const models::VitOptions& vit, Index batch) {
  Operations all(true, batch);
  const Index patches = vit.size * vit.size / (vit.patch * vit.patch), tokens = patches + 1, width = vit.columns;
  all.layer(patches * width, vit.channels * vit.patch * vit.patch);
  for (Index block = 0; block < vit.depth; ++block) {
    const Index asking = block + 1 < vit.depth ? tokens : 1;  // the classifier reads the class token alone
    all.layer(tokens * 3 * width, width).layer(asking * tokens * vit.heads, width / vit.heads).layer(asking * width, tokens);
    all.layer(asking * width, width).layer(asking * 4 * width, width).layer(asking * width, 4 * width);
  }
  return all.layer(vit.outputs, width).sum();
}

/// LeNet-300-100 with PReLU, whose slopes are learned.
template <template <class> class Source>
struct PreluLeNet {
  models::LeNet<Source> linear;
  std::vector<Parameter<float>> slopes;

  explicit PreluLeNet(const nn::Init& init) : linear(init, {}) {
    for (int layer = 0; layer < 2; ++layer) slopes.emplace_back(Tensor<float>({1}, {0.25f}));
  }
  auto members() { return std::tie(linear, slopes); }
  Var<float> operator()(const Var<float>& x) {
    Var<float> h = linear.layers[0](x);
    for (std::size_t l = 0; l < slopes.size(); ++l) h = linear.layers[l + 1](prelu(h, parameter_value(x.pass(), slopes[l])));
    return h;
  }
};

/// The median seconds of `steps` steps without the first sixth of them, in which the pool fills, as bench/torch_step.py has it.
template <class Step>
double median_seconds(int steps, const Step& one_step) {
  std::vector<double> times;
  for (int step = 0; step < steps; ++step) {
    const auto begin = std::chrono::steady_clock::now();
    one_step();
    if (step >= steps / 6) times.push_back(std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count());
  }
  const auto middle = times.begin() + static_cast<std::ptrdiff_t>(times.size() / 2);
  std::nth_element(times.begin(), middle, times.end());
  return *middle;
}

/// The steps of one search on random images: as many as PyTorch's in torch_step.py.
template <class Model>
void run(benchmark::State& state, Model model, const Shape& images, double operations, int threads, int steps) {
  Context context(threads);
  const auto gates = nn::gates(model);
  const Index batch = images[0];
  optim::Adam<float> adam(context, gates, {.rate = 0.001});
  optim::Sgd<float> sgd(context, nn::parameters(model), {.rate = 1e-4});
  auto x = Tensor<float>::uninitialized(images);
  kernels::fill_noise<kernels::NormalNoise>({1, Purpose::gate_noise, 77, 0}, 0, x.size(), x.data());
  std::vector<std::int32_t> labels(static_cast<std::size_t>(batch));
  for (std::size_t i = 0; i < labels.size(); ++i) labels[i] = static_cast<std::int32_t>(i * 7 % 10);
  std::uint32_t step = 0;

  const auto one_step = [&] {
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
  };
  double limit = bench::peak<float>(context.threads());
  for (auto _ : state) state.SetIterationTime(median_seconds(steps, one_step));
  limit = std::max(limit, bench::peak<float>(context.threads()));
  using benchmark::Counter;
  state.counters["floor"] = Counter(operations / limit, Counter::kIsIterationInvariantRate | Counter::kInvert);
  state.counters["peak"] = Counter(limit, Counter::kDefaults, Counter::kIs1000);
}

/// `f(state, threads)` as one iteration, which gives its own time.
template <class F>
void add(const std::string& name, const F& f) {
  for (const int threads : {1, 2}) {
    if (threads > available_threads()) continue;
    benchmark::RegisterBenchmark(concat("step/", name, '/', threads).c_str(), [=](benchmark::State& state) { f(state, threads); })
        ->UseManualTime()
        ->Unit(benchmark::kMicrosecond)
        ->Iterations(1);
  }
}

}  // namespace

int main(int argc, char** argv) {
  benchmark::Initialize(&argc, argv);
  if (benchmark::ReportUnrecognizedArguments(argc, argv)) return 1;
  const nn::Init init{.seed = 1, .rescale = Rescale::layer};
  const Shape digits{128, 784}, pictures{128, 32, 32, 3}, fewer{64, 32, 32, 3};
  add("lenet-gated", [=](benchmark::State& state, int threads) {
    run(state, models::LeNet<nn::Gated>(init, {}), digits, lenet_operations(true), threads, 300);
  });
  add("lenet-dense", [=](benchmark::State& state, int threads) {
    run(state, models::LeNet<nn::Trained>(init, {}), digits, lenet_operations(true), threads, 300);
  });
  add("lenet-prelu-gated", [=](benchmark::State& state, int threads) {
    run(state, PreluLeNet<nn::Gated>(init), digits, lenet_operations(true), threads, 300);
  });
  add("lenet-prelu-dense", [=](benchmark::State& state, int threads) {
    run(state, PreluLeNet<nn::Trained>(init), digits, lenet_operations(true), threads, 300);
  });
  add("lenet-units", [=](benchmark::State& state, int threads) {
    run(state, models::LeNet<nn::Frozen>(init, {.unit_gates = true}), digits, lenet_operations(false), threads, 300);
  });
  add("conv6-gated", [=](benchmark::State& state, int threads) {
    run(state, models::ConvN<nn::Gated>(init, {}), pictures, conv6_operations(), threads, 8);
  });
  add("conv6-dense", [=](benchmark::State& state, int threads) {
    run(state, models::ConvN<nn::Trained>(init, {}), pictures, conv6_operations(), threads, 8);
  });
  models::ResNetOptions resnet = models::resnet50();
  resnet.stem = models::Stem::imagenet;
  add("resnet50-gated", [=](benchmark::State& state, int threads) {
    run(state, models::ResNet<nn::Gated>(init, resnet), pictures, resnet50_operations(), threads, 8);
  });
  add("resnet50-dense", [=](benchmark::State& state, int threads) {
    run(state, models::ResNet<nn::Trained>(init, resnet), pictures, resnet50_operations(), threads, 8);
  });
  models::VitOptions vit{.columns = 384, .depth = 6, .heads = 6, .position = nn::Position::random, .pooling = models::Pooling::class_token};
  add("vit-gated", [=](benchmark::State& state, int threads) {
    run(state, models::Vit<nn::Gated>(init, vit), fewer, vit_operations(vit, 64), threads, 6);
  });
  add("vit-dense", [=](benchmark::State& state, int threads) {
    run(state, models::Vit<nn::Trained>(init, vit), fewer, vit_operations(vit, 64), threads, 6);
  });
  benchmark::RunSpecifiedBenchmarks();
}
