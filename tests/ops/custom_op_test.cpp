#include <doctest/doctest.h>

#include "tombola/tombola.hpp"

using namespace tombola;

namespace {

// As the README shows it (tests/tools/test_readme.py compares).
// clang-format off
/// y = x^2, elementwise.  dx += 2 x dy.
template <class T>
Var<T> square(const Var<T>& x) {
  Pass<T>& pass = x.pass();
  Var<T> y = pass.result(x.shape(), x.needs_gradient());
  kernels::map(pass.threads(), x.shape().size(), [](const auto& v) { return v * v; }, y.node()->output(), x.value().data());
  pass.backward_step(y, [x = x.node(), y = y.node()](Pass<T>& pass) {   // captured by value; a wrong capture does not compile
    const auto dx = pass.accumulate(*x);                                // the first gradient writes, later ones add
    kernels::map_accumulate(pass.threads(), x->size(), [](const auto& v, const auto& dy) { return (v + v) * dy; },
                            dx.beta, dx.into.data(), x->value.data(), y->gradient.data());
  });
  return y;
}
// clang-format on

}  // namespace

TEST_CASE("an op of one's own, as the README writes it") {
  Context context(2);
  std::vector<Tensor<double>> inputs;
  inputs.push_back(Tensor<double>({3, 5}, {1, -2, 3, 0.5, 0, 4, -1, 2, 1.5, -0.5, 6, 7, -8, 9, 10}));
  const auto twice = [](Tape<double>&, std::span<const Var<double>> x) { return square(square(x[0]) + x[0]); };
  CHECK(check_gradient(context, std::move(inputs), twice) < 1e-8);

  const Tensor<float> x({3}, {1, -2, 3});
  Inference<float> pass(context);
  CHECK(square(pass.input(x)).value()[1] == 4);
}
