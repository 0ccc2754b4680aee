/// \file
/// Convolutions of the networks that tickets are searched in, batch 128 and 32 x 32 images, beside oneDNN in the layout of its choice.
/// Names: conv/<library>/<layer>/<forward, input or weight gradient>/<threads>. "share": of the peak of multiply-adds,
/// of those of the direct algorithm: above 1 where Winograd's needs fewer.
#include <benchmark/benchmark.h>

#include <algorithm>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "share.hpp"
#include "tombola/kernels/convolve.hpp"

#ifdef TOMBOLA_BENCH_ONEDNN
#include <omp.h>

#include <dnnl.hpp>
#endif

using namespace tombola;
using bench::Run;
using kernels::ConvShape;

namespace {

enum class Direction { forward, input_gradient, weight_gradient };
constexpr const char* directions[] = {"forward", "input_gradient", "weight_gradient"};

struct Layer {
  std::string name;
  ConvShape shape;
};

constexpr ConvShape square(Index size, Index in, Index out, Index kernel, Index stride = 1) {
  const Index padding = kernel / 2;
  return {128, size, size, in, out, kernel, kernel, stride, stride, padding, padding};
}

/// The layers of networks, each shape once, under the name of the first that has it.
class Layers {
 public:
  void add(const std::string& name, const ConvShape& shape) {
    const bool is_there = std::any_of(layers_.begin(), layers_.end(), [&](const Layer& layer) { return layer.shape == shape; });
    if (!is_there) layers_.push_back({name, shape});
  }

  /// The four stages of ResNet-50, from images of `size` pixels on; `width` channels in the first one's 3 x 3 convolutions.
  void add_bottlenecks(const std::string& network, Index size, Index width) {
    for (Index stage = 0, in = 64; stage < 4; ++stage) {
      const Index inner = width << stage, out = Index{256} << stage, stride = stage == 0 ? 1 : 2;
      const auto add_one = [&](const char* name, const ConvShape& shape) { add(concat(network, '.', stage + 1, '.', name), shape); };
      add_one("first", square(size, in, inner, 1));
      if (stride > 1) add_one("stride", square(size, inner, inner, 3, stride));
      add_one("skip", square(size, in, out, 1, stride));
      size = divide_up(size, stride);
      add_one("expand", square(size, inner, out, 1));
      add_one("reduce", square(size, out, inner, 1));
      add_one("middle", square(size, inner, inner, 3));
      in = out;
    }
  }

  const std::vector<Layer>& all() const& { return layers_; }
  const std::vector<Layer>& all() && = delete;  // they would be gone

 private:
  std::vector<Layer> layers_;
};

/// Conv-2, 4 and 6; ResNet-50 with the stems for CIFAR (32 pixels) and ImageNet (8 pixels); Wide-ResNet-50-2 with the former.
Layers network_layers() {
  Layers layers;
  layers.add("conv6.1", square(32, 3, 64, 3));
  layers.add("conv6.2", square(32, 64, 64, 3));
  layers.add("conv6.3", square(16, 64, 128, 3));
  layers.add("conv6.4", square(16, 128, 128, 3));
  layers.add("conv6.5", square(8, 128, 256, 3));
  layers.add("conv6.6", square(8, 256, 256, 3));
  layers.add_bottlenecks("resnet50", 32, 64);
  layers.add("resnet50.imagenet.stem", square(32, 3, 64, 7, 2));
  layers.add_bottlenecks("resnet50.imagenet", 8, 64);
  layers.add_bottlenecks("wide_resnet50", 32, 128);
  return layers;
}

/// One convolution's arrays.
struct Arrays {
  Tensor<float> x, w, y;
  explicit Arrays(const ConvShape& s)
      : x(Tensor<float>::filled({s.batch, s.height, s.width, s.in}, 0.5f)),
        w(Tensor<float>::filled({s.out, s.taps()}, 0.25f)),
        y(Tensor<float>::filled({s.batch, s.out_height(), s.out_width(), s.out}, 0.125f)) {}
};

Run tombola_conv(const ConvShape& s, Direction direction, const Threads& threads) {
  auto a = std::make_shared<Arrays>(s);
  auto scratch = std::make_shared<Workspace>();
  return [=, &threads] {
    switch (direction) {
    case Direction::forward:
      return kernels::convolve(threads, *scratch, s, a->x.data(), a->w.data(), a->y.data());
    case Direction::input_gradient:
      return kernels::convolve_input_gradient(threads, *scratch, s, a->w.data(), a->y.data(), a->x.data());
    case Direction::weight_gradient:
      return kernels::convolve_weight_gradient(threads, *scratch, s, a->x.data(), a->y.data(), a->w.data());
    }
  };
}

#ifdef TOMBOLA_BENCH_ONEDNN
Run onednn_conv(const ConvShape& s, Direction direction, const Threads& threads) {
  using namespace dnnl;
  omp_set_num_threads(threads.count());
  static engine cpu(engine::kind::cpu, 0);
  static stream queue(cpu);
  const auto any = [](memory::dims dims) { return memory::desc(dims, memory::data_type::f32, memory::format_tag::any); };
  const auto x = any({s.batch, s.in, s.height, s.width}), w = any({s.out, s.in, s.kernel_y, s.kernel_x}),
             y = any({s.batch, s.out, s.out_height(), s.out_width()});
  const memory::dims stride{s.stride_y, s.stride_x}, padding{s.padding_y, s.padding_x};
  const auto forward = convolution_forward::primitive_desc({prop_kind::forward_training, algorithm::convolution_direct, x, w, y, stride, padding, padding}, cpu);
  const auto make = [](const memory::desc& desc) {
    memory m(desc, cpu);
    std::fill_n(static_cast<float*>(m.get_data_handle()), desc.get_size() / sizeof(float), 0.25f);
    return m;
  };
  std::shared_ptr<primitive> work;
  std::unordered_map<int, memory> arguments;
  if (direction == Direction::forward) {
    work = std::make_shared<convolution_forward>(forward);
    arguments = {{DNNL_ARG_SRC, make(forward.src_desc())}, {DNNL_ARG_WEIGHTS, make(forward.weights_desc())}, {DNNL_ARG_DST, make(forward.dst_desc())}};
  } else if (direction == Direction::input_gradient) {
    const convolution_backward_data::primitive_desc desc({algorithm::convolution_direct, x, w, y, stride, padding, padding}, cpu, forward);
    work = std::make_shared<convolution_backward_data>(desc);
    arguments = {{DNNL_ARG_DIFF_SRC, make(desc.diff_src_desc())}, {DNNL_ARG_WEIGHTS, make(desc.weights_desc())}, {DNNL_ARG_DIFF_DST, make(desc.diff_dst_desc())}};
  } else {
    const convolution_backward_weights::primitive_desc desc({algorithm::convolution_direct, x, w, y, stride, padding, padding}, cpu, forward);
    work = std::make_shared<convolution_backward_weights>(desc);
    arguments = {{DNNL_ARG_SRC, make(desc.src_desc())}, {DNNL_ARG_DIFF_WEIGHTS, make(desc.diff_weights_desc())}, {DNNL_ARG_DIFF_DST, make(desc.diff_dst_desc())}};
  }
  return [=, &threads] {
    omp_set_num_threads(threads.count());
    work->execute(queue, arguments);
    queue.wait();
  };
}
#endif

void add_all(const std::vector<std::pair<const char*, Run (*)(const ConvShape&, Direction, const Threads&)>>& libraries) {
  const Layers layers = network_layers();
  for (const Layer& layer : layers.all()) {
    for (const Direction direction : {Direction::forward, Direction::input_gradient, Direction::weight_gradient}) {
      if (layer.shape.in == 3 && direction == Direction::input_gradient) continue;  // images need none
      const ConvShape& s = layer.shape;
      const double operations = 2.0 * static_cast<double>(s.batch * s.out_height() * s.out_width() * s.out) * static_cast<double>(s.taps());
      const auto bind = [=, shape = s](const auto& prepare, const Threads& threads) { return prepare(shape, direction, threads); };
      bench::register_shares("conv", concat(layer.name, '/', directions[static_cast<int>(direction)]), operations, bench::prepared(libraries, bind));
    }
  }
}

}  // namespace

int main(int argc, char** argv) {
  benchmark::Initialize(&argc, argv);
  if (benchmark::ReportUnrecognizedArguments(argc, argv)) return 1;
  add_all({{"tombola", tombola_conv},
#ifdef TOMBOLA_BENCH_ONEDNN
           {"onednn", onednn_conv},
#endif
  });
  benchmark::RunSpecifiedBenchmarks();
}
