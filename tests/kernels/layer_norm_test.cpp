#include "tombola/kernels/layer_norm.hpp"

#include <doctest/doctest.h>

#include "support/architectures.hpp"
#include "support/arrays.hpp"
#include "support/worst.hpp"

using namespace tombola;
using test::at;

namespace {

/// Every tail of columns, and rows above the grain of chunks.
template <class Check>
void for_shapes(const Check& check) {
  for (const Index columns : test::sizes) {
    if (columns > 0) check(Index{3}, columns);
  }
  for (const Index rows : {0, 1, 2, 7000}) check(rows, Index{10});
}

}  // namespace

TEST_CASE_TEMPLATE_DEFINE("layer_norm", Kind, layer_norm) {
  using T = typename Kind::T;
  using Arch = typename Kind::Arch;
  for_shapes([](Index rows, Index columns) {
    CAPTURE(rows);
    CAPTURE(columns);
    const Index size = rows * columns;
    constexpr double epsilon = 0.01;  // so that the one column of a row is not divided by nothing
    const auto x = test::uniform<T>(size, -2, 3, 1), dy = test::uniform<T>(size, -1, 1, 2);
    const auto weight = test::uniform<T>(columns, 0.5, 1.5, 3), bias = test::uniform<T>(columns, -1, 1, 4);
    for (const bool affine : {false, true}) {
      for (const bool add : {false, true}) {
        test::Guarded<T> y(size), mean(rows), inverse(rows), dx(size, T(0.25)), dweight(columns), dbias(columns);
        const T* w = affine ? weight.data() : nullptr;
        kernels::layer_norm<T, Arch>(2, rows, columns, x.data(), w, affine ? bias.data() : nullptr, epsilon, mean.data(), inverse.data(), y.data());
        Workspace scratch;
        const kernels::LayerNormBackward<T> of{x.data(), dy.data(), mean.data(), inverse.data(), w, add};
        kernels::layer_norm_backward<T, Arch>(2, scratch, rows, columns, of, dx.data(), affine ? dweight.data() : nullptr,
                                              affine ? dbias.data() : nullptr);
        CHECK((y.intact() && mean.intact() && inverse.intact() && dx.intact() && dweight.intact() && dbias.intact()));
        // In double, from the formulas.
        std::vector<double> exact_dweight(at(columns)), exact_dbias(at(columns));
        double worst = 0;
        for (Index r = 0; r < rows; ++r) {
          const auto of_row = [&](const std::vector<T>& all, Index c) { return static_cast<double>(all[at(r * columns + c)]); };
          double middle = 0, variance = 0, sum = 0, product = 0;
          for (Index c = 0; c < columns; ++c) middle += of_row(x, c) / static_cast<double>(columns);
          for (Index c = 0; c < columns; ++c) variance += std::pow(of_row(x, c) - middle, 2) / static_cast<double>(columns);
          const double factor = 1 / std::sqrt(variance + epsilon);
          const auto n = [&](Index c) { return (of_row(x, c) - middle) * factor; };
          const auto g = [&](Index c) { return of_row(dy, c) * (affine ? static_cast<double>(weight[at(c)]) : 1); };
          for (Index c = 0; c < columns; ++c) {
            sum += g(c) / static_cast<double>(columns);
            product += g(c) * n(c) / static_cast<double>(columns);
            exact_dweight[at(c)] += of_row(dy, c) * n(c);
            exact_dbias[at(c)] += of_row(dy, c);
          }
          for (Index c = 0; c < columns; ++c) {
            const double exact_y = affine ? n(c) * static_cast<double>(weight[at(c)]) + static_cast<double>(bias[at(c)]) : n(c);
            const double exact_dx = factor * (g(c) - sum - n(c) * product) + (add ? 0.25 : 0);
            test::widen(worst, std::abs(static_cast<double>(y[r * columns + c]) - exact_y));
            test::widen(worst, std::abs(static_cast<double>(dx[r * columns + c]) - exact_dx) / factor);
          }
        }
        // Values are near one; sums over a row err by a few roundings of their terms.
        constexpr double unit = static_cast<double>(std::numeric_limits<T>::epsilon());
        CHECK(worst < 64 * unit);
        if (!affine) continue;
        double worst_sum = 0;
        for (Index c = 0; c < columns; ++c) {
          test::widen(worst_sum, std::abs(static_cast<double>(dweight[c]) - exact_dweight[at(c)]));
          test::widen(worst_sum, std::abs(static_cast<double>(dbias[c]) - exact_dbias[at(c)]));
        }
        CHECK(worst_sum < 64 * unit * std::max(1.0, std::sqrt(static_cast<double>(rows))));
      }
    }
  });
}
TEST_CASE_TEMPLATE_APPLY(layer_norm, test::OnEach);
