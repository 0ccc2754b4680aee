/// \file
/// Attention with heads of 64 columns, queries, keys and values side by side: fused, and as two products around a softmax.
/// Names: attention/<library>/<length>/<forward or backward>/<threads>. "share": of the peak measured before and after; a forward pass counts
/// two products, a backward pass the five that cannot be avoided without keeping the probabilities.
#include <benchmark/benchmark.h>

#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "share.hpp"
#include "tombola/core/tensor.hpp"
#include "tombola/kernels/attention_backward.hpp"
#include "tombola/kernels/gemm.hpp"
#include "tombola/kernels/softmax.hpp"

#ifdef TOMBOLA_BENCH_ONEDNN
#include <omp.h>

#include <dnnl.hpp>
#endif

using namespace tombola;
using kernels::Heads;

namespace {

using bench::Run;
constexpr Index size = 64, heads = 6, row = 3 * heads * size;
constexpr float factor = 0.125f;

/// About 4096 tokens.
kernels::AttentionShape<float> shape_of(Index length) { return {std::max<Index>(1, 4096 / length), heads, length, length, size, factor}; }

struct Arrays {
  kernels::AttentionShape<float> shape;
  Tensor<float> qkv, out, dqkv, dout, logsums;

  explicit Arrays(const kernels::AttentionShape<float>& s)
      : shape(s),
        qkv(Tensor<float>::uninitialized({s.sequences, s.queries, row})),
        out({s.sequences, s.queries, heads * size}),
        dqkv({s.sequences, s.queries, row}),
        dout(Tensor<float>::filled({s.sequences, s.queries, heads * size}, 0.25f)),
        logsums({s.sequences, heads, s.queries}) {
    for (Index i = 0; i < qkv.size(); ++i) qkv[i] = static_cast<float>(i % 17 - 8) / 8;
  }
  Heads<float> part(Tensor<float>& of, Index which) const { return {of.data() + which * heads * size, shape.queries, row, size}; }
  Heads<const float> part(const Tensor<float>& of, Index which) const { return {of.data() + which * heads * size, shape.queries, row, size}; }
  template <class T>
  Heads<T> whole(T* data) const {
    return {data, shape.queries, heads * size, size};
  }
};

Run fused(Index length, bool backward, const Threads& threads) {
  const auto a = std::make_shared<Arrays>(shape_of(length));
  const auto s = a->shape;
  const auto count = std::max(kernels::attention_scratch(s, threads.count()), kernels::attention_backward_scratch(s, {}, false, threads.count()));
  const auto scratch = std::make_shared<std::vector<float>>(static_cast<std::size_t>(count));
  const auto forward = [=, &threads] {
    const Tensor<float>& qkv = a->qkv;
    kernels::attention<simd::Native, float>(threads, s, {}, a->part(qkv, 0), a->part(qkv, 1), a->part(qkv, 2), a->whole(a->out.data()),
                                            a->logsums.data(), scratch->data());
  };
  forward();
  if (!backward) return forward;
  return [=, &threads] {
    const Tensor<float>& qkv = a->qkv;
    const kernels::AttentionGradient<float> of{a->part(qkv, 0),
                                               a->part(qkv, 1),
                                               a->part(qkv, 2),
                                               a->whole<const float>(a->out.data()),
                                               a->whole<const float>(a->dout.data()),
                                               a->logsums.data(),
                                               a->part(a->dqkv, 0),
                                               a->part(a->dqkv, 1),
                                               a->part(a->dqkv, 2)};
    kernels::attention_backward<simd::Native, float>(threads, s, {}, of, scratch->data());
  };
}

/// The same from products of whole matrices and a softmax between them, head after head, the probabilities kept for backward.
Run unfused(Index length, bool backward, const Threads& threads) {
  const auto a = std::make_shared<Arrays>(shape_of(length));
  const auto s = a->shape;
  const Index pairs = s.sequences * heads, matrix = length * length;
  const auto kept = std::make_shared<Tensor<float>>(Shape{pairs, length, length});
  struct Worker {
    Workspace scratch;
    std::vector<float> gradient;
  };
  const auto workers = std::make_shared<std::vector<Worker>>(static_cast<std::size_t>(threads.count()));
  for (Worker& worker : *workers) worker.gradient.resize(static_cast<std::size_t>(matrix));
  const auto forward = [=, &threads] {
    parallel_for(threads, pairs, [&](Index pair, int number) {
      const Threads alone(1);
      Workspace& scratch = (*workers)[static_cast<std::size_t>(number)].scratch;
      const Index n = pair / heads, h = pair % heads;
      const Tensor<float>& qkv = a->qkv;
      float* p = kept->data() + pair * matrix;
      kernels::gemm(alone, scratch, a->part(qkv, 0).head(n, h), a->part(qkv, 1).head(n, h).transposed(), 0.f,
                    kernels::Matrix<float>{p, length, length, length, 1});
      for (Index i = 0; i < matrix; ++i) p[i] *= factor;
      kernels::softmax(alone, length, length, p, p);
      kernels::gemm(alone, scratch, kernels::Matrix<const float>{p, length, length, length, 1}, a->part(qkv, 2).head(n, h), 0.f,
                    a->whole(a->out.data()).head(n, h));
    });
  };
  forward();
  if (!backward) return forward;
  return [=, &threads] {
    parallel_for(threads, pairs, [&](Index pair, int number) {
      const Threads alone(1);
      Worker& worker = (*workers)[static_cast<std::size_t>(number)];
      const Index n = pair / heads, h = pair % heads;
      const Tensor<float>& qkv = a->qkv;
      const float* p = kept->data() + pair * matrix;
      float* dp = worker.gradient.data();
      const kernels::Matrix<const float> probabilities{p, length, length, length, 1}, gradient{dp, length, length, length, 1};
      const auto dout = a->whole<const float>(a->dout.data()).head(n, h);
      const auto multiply = [&](const auto& left, const auto& right, const kernels::Matrix<float>& to) {
        kernels::gemm(alone, worker.scratch, left, right, 0.f, to);
      };
      multiply(probabilities.transposed(), dout, a->part(a->dqkv, 2).head(n, h));
      multiply(dout, a->part(qkv, 2).head(n, h).transposed(), kernels::Matrix<float>{dp, length, length, length, 1});
      kernels::softmax_backward(alone, length, length, p, dp, 0.f, dp);
      for (Index i = 0; i < matrix; ++i) dp[i] *= factor;
      multiply(gradient, a->part(qkv, 1).head(n, h), a->part(a->dqkv, 0).head(n, h));
      multiply(gradient.transposed(), a->part(qkv, 0).head(n, h), a->part(a->dqkv, 1).head(n, h));
    });
  };
}

#ifdef TOMBOLA_BENCH_ONEDNN
/// oneDNN's products and softmax, on the same layout, the probabilities kept for backward.
Run onednn(Index length, bool backward, const Threads& threads) {
  using namespace dnnl;
  omp_set_num_threads(threads.count());
  static engine cpu(engine::kind::cpu, 0);
  static stream queue(cpu);
  const auto a = std::make_shared<Arrays>(shape_of(length));
  const auto s = a->shape;
  const auto kept = std::make_shared<Tensor<float>>(Shape{s.sequences, heads, length, length}), gradient = std::make_shared<Tensor<float>>(kept->shape());
  // One matrix for each sequence and head, whose rows lie `apart` elements from each other; the same transposed.
  const auto matrices = [&](Index rows, Index columns, Index sequence, Index head, Index apart) {
    return memory::desc({s.sequences, heads, rows, columns}, memory::data_type::f32, memory::dims{sequence, head, apart, 1});
  };
  const auto transposed = [](const memory::desc& desc) { return desc.permute_axes({0, 1, 3, 2}); };
  const auto part = matrices(length, size, length * row, size, row), whole = matrices(length, size, length * heads * size, size, heads * size),
             square = matrices(length, length, heads * length * length, length * length, length);
  const auto at = [&](const memory::desc& desc, float* data) { return memory(desc, cpu, data); };
  using Step = std::function<void()>;
  const auto product = [&](const memory::desc& x, float* from, const memory::desc& w, float* by, const memory::desc& y, float* to, float scale) -> Step {
    primitive_attr scaled;
    if (scale != 1) scaled.set_output_scales(0, {scale});
    const matmul work(matmul::primitive_desc({x, w, y}, scaled, cpu));
    const std::unordered_map<int, memory> arguments{{DNNL_ARG_SRC, at(x, from)}, {DNNL_ARG_WEIGHTS, at(w, by)}, {DNNL_ARG_DST, at(y, to)}};
    return [=] { work.execute(queue, arguments); };
  };
  float *q = a->qkv.data(), *k = q + heads * size, *v = k + heads * size, *p = kept->data(), *dp = gradient->data(), *dout = a->dout.data();
  float *dq = a->dqkv.data(), *dk = dq + heads * size, *dv = dk + heads * size;
  const softmax_forward::primitive_desc softmax({prop_kind::forward_training, square, 3}, cpu);
  const std::unordered_map<int, memory> softmax_arguments{{DNNL_ARG_SRC, at(square, p)}, {DNNL_ARG_DST, at(square, p)}};
  const auto run = [a, kept, gradient, &threads](std::vector<Step> steps) -> Run {
    return [=, &threads] {
      static_cast<void>(a), static_cast<void>(kept), static_cast<void>(gradient);
      omp_set_num_threads(threads.count());
      for (const Step& step : steps) step();
      queue.wait();
    };
  };
  const Run forward = run({product(part, q, transposed(part), k, square, p, factor),
                           [work = softmax_forward(softmax), softmax_arguments] { work.execute(queue, softmax_arguments); },
                           product(square, p, part, v, whole, a->out.data(), 1)});
  if (!backward) return forward;
  forward();
  const softmax_backward::primitive_desc slopes({square, square, 3}, cpu, softmax);
  const std::unordered_map<int, memory> slope_arguments{
      {DNNL_ARG_DIFF_DST, at(square, dp)}, {DNNL_ARG_DST, at(square, p)}, {DNNL_ARG_DIFF_SRC, at(square, dp)}};
  return run({product(transposed(square), p, whole, dout, part, dv, 1), product(whole, dout, transposed(part), v, square, dp, 1),
              [work = softmax_backward(slopes), slope_arguments] { work.execute(queue, slope_arguments); },
              product(square, dp, part, k, part, dq, factor), product(transposed(square), dp, part, q, part, dk, factor)});
}
#endif

void add_all(const std::vector<std::pair<const char*, Run (*)(Index, bool, const Threads&)>>& libraries) {
  for (const Index length : {65, 197, 1024}) {
    for (const bool backward : {false, true}) {
      const double operations =
          (backward ? 5 : 2) * 2.0 * static_cast<double>(shape_of(length).sequences * heads * size) * static_cast<double>(length * length);
      const auto bind = [=](const auto& prepare, const Threads& threads) { return prepare(length, backward, threads); };
      bench::register_shares("attention", concat(length, '/', backward ? "backward" : "forward"), operations, bench::prepared(libraries, bind));
    }
  }
}

}  // namespace

int main(int argc, char** argv) {
  benchmark::Initialize(&argc, argv);
  if (benchmark::ReportUnrecognizedArguments(argc, argv)) return 1;
  add_all({{"tombola", fused},
#ifdef TOMBOLA_BENCH_ONEDNN
           {"onednn", onednn},
#endif
           {"unfused", unfused}});
  benchmark::RunSpecifiedBenchmarks();
}
