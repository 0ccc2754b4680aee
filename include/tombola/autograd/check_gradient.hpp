/// \file
/// check_gradient: compares what backward computes with differences of the function itself, in double.
#pragma once

#include <algorithm>
#include <cmath>
#include <span>
#include <vector>

#include "tombola/autograd/pass.hpp"

namespace tombola::inline TOMBOLA_ISA {

/// df/dx_i for every element, by the five-point stencil (8 (f(x+h) - f(x-h)) - (f(x+2h) - f(x-2h))) / 12 h, whose error is
/// of order h^4. `f()` reads x, which is changed in place and restored.
template <class F>
Tensor<double> numeric_gradient(View<double> x, const F& f, double h = 1e-3) {
  Tensor<double> gradient(x.shape());
  for (Index i = 0; i < x.size(); ++i) {
    const double at = x[i];
    const auto value = [&](double step) {
      x[i] = at + step;
      return f();
    };
    gradient[i] = (8 * (value(h) - value(-h)) - (value(2 * h) - value(-2 * h))) / (12 * h);
    x[i] = at;
  }
  return gradient;
}

/// max_i |a_i - b_i| / max(1, max_i |b_i|). NaN if any element is. Throws `std::invalid_argument` if the shapes differ.
inline double largest_difference(View<const double> a, View<const double> b) {
  require(a.shape() == b.shape(), "largest_difference: expected equal shapes, got ", a.shape(), " and ", b.shape());
  double scale = 1, difference = 0;
  for (Index i = 0; i < a.size(); ++i) {
    scale = std::max(scale, std::abs(b[i]));
    const double d = std::abs(a[i] - b[i]);
    if (!(d <= difference)) difference = d;
    if (std::isnan(difference)) return difference;
  }
  return difference / scale;
}

/// The largest difference between the gradient of f by backward and by `numeric_gradient`, over all inputs, relative to the
/// largest element. `f(tape, inputs)` builds a Var of any shape; it is reduced to a number by fixed random weights. Below 1e-8
/// for a right gradient, if f is smooth within 2e-3 of the inputs.
template <class F>
double check_gradient(Context& context, std::vector<Tensor<double>> inputs, const F& f,
                      const PassOptions& options = {}) {
  Tensor<double> weights;
  const auto build = [&](Tape<double>& tape, std::vector<Var<double>>& variables) {
    for (auto& input : inputs) variables.push_back(tape.variable(input));
    return f(tape, std::span<const Var<double>>(variables));
  };
  const auto loss = [&] {
    Tape<double> tape(context, options);
    std::vector<Var<double>> variables;
    const Var<double> y = build(tape, variables);
    double sum = 0;
    for (Index i = 0; i < y.value().size(); ++i) sum += weights[i] * y.value()[i];
    return sum;
  };

  Tape<double> tape(context, options);
  std::vector<Var<double>> variables;
  const Var<double> y = build(tape, variables);
  weights = Tensor<double>(y.shape());
  Sequence draws(Stream{0, Purpose::control, 1, 0});
  for (double& weight : weights) weight = 0.5 + draws.next() * 0x1p-32;  // off zero, so that no element is left out
  tape.backward(y, weights);

  double worst = 0;
  for (std::size_t i = 0; i < inputs.size(); ++i) {
    const double d = largest_difference(tape.gradient(variables[i]), numeric_gradient(inputs[i], loss));
    if (std::isnan(d)) return d;
    worst = std::max(worst, d);
  }
  return worst;
}

}  // namespace tombola::inline TOMBOLA_ISA
