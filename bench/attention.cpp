/// \file
/// Attention with heads of 64 columns, queries, keys and values side by side: fused, and as two products around a softmax.
/// Names: attention/<library>/<length>/<forward or backward>/<threads>. "share": of the peak measured before and after; a forward pass counts
/// two products, a backward pass the five that cannot be avoided without keeping the probabilities.
#include <benchmark/benchmark.h>

#include <functional>
#include <memory>
#include <string>
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

using Run = std::function<void()>;
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
/// oneDNN's matmul, softmax and matmul, in place on the same layout; forward only.
Run onednn(Index length, bool /*backward*/, const Threads& threads) {
  using namespace dnnl;
  omp_set_num_threads(threads.count());
  static engine cpu(engine::kind::cpu, 0);
  static stream queue(cpu);
  const auto a = std::make_shared<Arrays>(shape_of(length));
  const auto s = a->shape;
  const auto logits = std::make_shared<Tensor<float>>(Shape{s.sequences, heads, length, length});
  const auto desc = [](const memory::dims& dims, const memory::dims& strides) { return memory::desc(dims, memory::data_type::f32, strides); };
  const memory::dims rows{s.sequences, heads, length, size}, columns{s.sequences, heads, size, length}, square{s.sequences, heads, length, length};
  const auto q = desc(rows, {length * row, size, row, 1}), k = desc(columns, {length * row, size, 1, row}), v = desc(rows, {length * row, size, row, 1});
  const auto out = desc(rows, {length * heads * size, size, heads * size, 1}), p = desc(square, {heads * length * length, length * length, length, 1});
  primitive_attr scaled;
  scaled.set_output_scales(0, {factor});
  const matmul first(matmul::primitive_desc({q, k, p}, scaled, cpu)), second(matmul::primitive_desc({p, v, out}, cpu));
  const softmax_forward softmax(softmax_forward::primitive_desc({prop_kind::forward_inference, p, 3}, cpu));
  const auto at = [&](const memory::desc& d, float* data) { return memory(d, cpu, data); };
  const memory p_memory = at(p, logits->data());
  const std::unordered_map<int, memory> first_arguments{{DNNL_ARG_SRC, at(q, a->qkv.data())}, {DNNL_ARG_WEIGHTS, at(k, a->qkv.data() + heads * size)}, {DNNL_ARG_DST, p_memory}};
  const std::unordered_map<int, memory> softmax_arguments{{DNNL_ARG_SRC, p_memory}, {DNNL_ARG_DST, p_memory}};
  const std::unordered_map<int, memory> second_arguments{{DNNL_ARG_SRC, p_memory}, {DNNL_ARG_WEIGHTS, at(v, a->qkv.data() + 2 * heads * size)}, {DNNL_ARG_DST, at(out, a->out.data())}};
  return [=, &threads] {
    static_cast<void>(a);
    static_cast<void>(logits);
    omp_set_num_threads(threads.count());
    first.execute(queue, first_arguments);
    softmax.execute(queue, softmax_arguments);
    second.execute(queue, second_arguments);
    queue.wait();
  };
}
#endif

void add(const char* library, Run (*prepare)(Index, bool, const Threads&), bool has_backward) {
  for (const Index length : {65, 197, 1024}) {
    for (const bool backward : {false, true}) {
      if (backward && !has_backward) continue;
      const double operations =
          (backward ? 5 : 2) * 2.0 * static_cast<double>(shape_of(length).sequences * heads * size) * static_cast<double>(length * length);
      bench::register_share(concat("attention/", library, '/', length, '/', backward ? "backward" : "forward"), operations,
                            [=](const Threads& threads) { return prepare(length, backward, threads); });
    }
  }
}

}  // namespace

int main(int argc, char** argv) {
  benchmark::Initialize(&argc, argv);
  if (benchmark::ReportUnrecognizedArguments(argc, argv)) return 1;
  add("tombola", fused, true);
  add("unfused", unfused, true);
#ifdef TOMBOLA_BENCH_ONEDNN
  add("onednn", onednn, false);
#endif
  benchmark::RunSpecifiedBenchmarks();
}
