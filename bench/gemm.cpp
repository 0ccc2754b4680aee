/// \file
/// The product of matrices on the shapes that networks need, beside the machine's peak and the libraries found.
/// Names: gemm/<library>/<m>x<n>x<k>/<NN, NT or TN>/<threads>. "share": of the peak measured before and after.
#include <benchmark/benchmark.h>

#include <Eigen/Core>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "share.hpp"
#include "tombola/core/tensor.hpp"
#include "tombola/kernels/gemm.hpp"

#ifdef TOMBOLA_BENCH_ONEDNN
#include <dnnl.h>
#endif
#ifdef TOMBOLA_BENCH_OPENBLAS
#include <cblas.h>
#endif

using namespace tombola;

namespace {

struct Product {
  Index m, n, k;
  bool a_transposed, b_transposed;

  Index a_stride() const { return a_transposed ? m : k; }
  Index b_stride() const { return b_transposed ? k : n; }
};

/// c = a b, once.
using Multiply = void (*)(const Product&, const Threads&, const float* a, const float* b, float* c);

void tombola_gemm(const Product& p, const Threads& threads, const float* a, const float* b, float* c) {
  using kernels::Matrix;
  static Workspace scratch;
  const Matrix<const float> a_stored{a, p.a_transposed ? p.k : p.m, p.a_stride(), p.a_stride(), 1};
  const Matrix<const float> b_stored{b, p.b_transposed ? p.n : p.k, p.b_stride(), p.b_stride(), 1};
  kernels::gemm(threads, scratch, p.a_transposed ? a_stored.transposed() : a_stored,
                p.b_transposed ? b_stored.transposed() : b_stored, 0, Matrix<float>{c, p.m, p.n, p.n, 1});
}

void eigen_gemm(const Product& p, const Threads& threads, const float* a, const float* b, float* c) {
  using Stored = Eigen::Matrix<float, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;
  using Map = Eigen::Map<const Stored>;
  Eigen::setNbThreads(threads.count());
  const Map a_stored(a, p.a_transposed ? p.k : p.m, p.a_stride()),
      b_stored(b, p.b_transposed ? p.n : p.k, p.b_stride());
  Eigen::Map<Stored> result(c, p.m, p.n);
  if (p.a_transposed) {
    result.noalias() = a_stored.transpose() * b_stored;
  } else if (p.b_transposed) {
    result.noalias() = a_stored * b_stored.transpose();
  } else {
    result.noalias() = a_stored * b_stored;
  }
}

#ifdef TOMBOLA_BENCH_ONEDNN
void onednn_gemm(const Product& p, const Threads& threads, const float* a, const float* b, float* c) {
  omp_set_num_threads(threads.count());
  dnnl_sgemm(p.a_transposed ? 'T' : 'N', p.b_transposed ? 'T' : 'N', p.m, p.n, p.k, 1, a, p.a_stride(), b, p.b_stride(),
             0, c, p.n);
}
#endif

#ifdef TOMBOLA_BENCH_OPENBLAS
void openblas_gemm(const Product& p, const Threads& threads, const float* a, const float* b, float* c) {
  openblas_set_num_threads(threads.count());
  const auto form = [](bool transposed) { return transposed ? CblasTrans : CblasNoTrans; };
  cblas_sgemm(CblasRowMajor, form(p.a_transposed), form(p.b_transposed), static_cast<int>(p.m), static_cast<int>(p.n),
              static_cast<int>(p.k), 1, a, static_cast<int>(p.a_stride()), b, static_cast<int>(p.b_stride()), 0, c,
              static_cast<int>(p.n));
}
#endif

bench::Run prepare(Multiply multiply, const Product& p, const Threads& threads) {
  const auto a = std::make_shared<Tensor<float>>(Tensor<float>::filled({p.m, p.k}, 0.5f)),
             b = std::make_shared<Tensor<float>>(Tensor<float>::filled({p.k, p.n}, 0.25f)),
             c = std::make_shared<Tensor<float>>(Tensor<float>::uninitialized({p.m, p.n}));
  return [=, &threads] { multiply(p, threads, a->data(), b->data(), c->data()); };
}

void add_all(const std::vector<std::pair<const char*, Multiply>>& libraries) {
  constexpr Index shapes[][3] = {{128, 300, 784},    {128, 100, 300}, {300, 784, 128}, {128, 784, 300},
                                 {1024, 300, 784},   {256, 256, 256}, {512, 512, 512}, {1024, 1024, 1024},
                                 {2048, 2048, 2048}, {64, 1024, 576}, {65536, 64, 64}, {8192, 256, 576},
                                 {3072, 512, 768}};
  for (const auto& [m, n, k] : shapes) {
    for (const std::string form : {"NN", "NT", "TN"}) {
      const Product p{m, n, k, form[0] == 'T', form[1] == 'T'};
      bench::register_shares("gemm", concat(m, 'x', n, 'x', k, '/', form), 2.0 * static_cast<double>(m * n) * static_cast<double>(k),
                             bench::prepared(libraries, [=](Multiply multiply, const Threads& threads) { return prepare(multiply, p, threads); }));
    }
  }
}

}  // namespace

int main(int argc, char** argv) {
  benchmark::Initialize(&argc, argv);
  if (benchmark::ReportUnrecognizedArguments(argc, argv)) return 1;
  add_all({{"tombola", tombola_gemm},
#ifdef TOMBOLA_BENCH_ONEDNN
           {"onednn", onednn_gemm},
#endif
#ifdef TOMBOLA_BENCH_OPENBLAS
           {"openblas", openblas_gemm},
#endif
           {"eigen", eigen_gemm}});
  benchmark::RunSpecifiedBenchmarks();
}
