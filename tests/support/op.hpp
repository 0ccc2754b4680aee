/// \file
/// Running an op of any number of inputs forwards and backwards, and what every such op must do.
#pragma once

#include <doctest/doctest.h>

#include <span>

#include "support/tensors.hpp"
#include "tombola/autograd/check_gradient.hpp"
#include "tombola/ops/arithmetic.hpp"

namespace test_support {

using tombola::Context, tombola::Tape, tombola::Var;

/// What a pass gave; the gradient is empty where an input needs none.
template <class T>
struct OpResult {
  Tensor<T> y;
  std::vector<Tensor<T>> gradients;
};

/// op(inputs) and the gradients from random dy. Bit i of `wanted`: input i needs a gradient.
template <class T, class Op>
OpResult<T> run_op(const Op& op, const std::vector<Tensor<T>>& inputs, int threads = 1, unsigned wanted = ~0u) {
  Context context(threads);
  Tape<T> tape(context);
  std::vector<Var<T>> variables;
  for (std::size_t i = 0; i < inputs.size(); ++i) {
    variables.push_back(wanted >> i & 1 ? tape.variable(inputs[i]) : tape.input(inputs[i]));
  }
  const Var<T> y = op(std::span<const Var<T>>(variables));
  OpResult<T> result{Tensor<T>::copy_of(y.value()), {}};
  REQUIRE(y.needs_gradient() == (wanted != 0));
  if (wanted != 0) tape.backward(y, random_tensor<T>(y.shape(), 99));
  for (std::size_t i = 0; i < inputs.size(); ++i) {
    result.gradients.push_back(wanted >> i & 1 ? tape.gradient(variables[i]) : Tensor<T>());
  }
  return result;
}

/// Where only one input needs a gradient it gets the same bits as where all do, and where none does nothing is recorded.
template <class T, class Op>
void check_inputs_apart(const Op& op, const std::vector<Tensor<T>>& inputs) {
  const OpResult<T> all = run_op(op, inputs);
  for (std::size_t i = 0; i < inputs.size(); ++i) {
    CAPTURE(i);
    const OpResult<T> one = run_op(op, inputs, 1, 1u << i);
    CHECK(same_bits(one.y, all.y));
    CHECK(same_bits(one.gradients[i], all.gradients[i]));
  }
  CHECK(same_bits(run_op(op, inputs, 1, 0).y, all.y));
}

/// f(x) + f(x): every gradient is written by the first use and added to by the second, which doubles it exactly.
template <class T, class Op>
void check_added_gradients(const Op& op, const std::vector<Tensor<T>>& inputs) {
  const OpResult<T> once = run_op(op, inputs);
  const OpResult<T> twice = run_op([&](auto in) { return op(in) + op(in); }, inputs);
  for (std::size_t i = 0; i < inputs.size(); ++i) {
    for (Index j = 0; j < inputs[i].size(); ++j) {
      // A product that is added to with one rounding may differ from one that is rounded before: by half a unit in the last place.
      const double expected = 2 * static_cast<double>(once.gradients[i][j]);
      const double unit = static_cast<double>(std::numeric_limits<T>::epsilon());
      REQUIRE(std::abs(static_cast<double>(twice.gradients[i][j]) - expected) <=
              8 * unit * std::max(1.0, std::abs(expected)));
    }
  }
}

/// Values and gradients have the same bits for any number of threads.
template <class T, class Op>
void check_threads(const Op& op, const std::vector<Tensor<T>>& inputs) {
  const OpResult<T> one = run_op(op, inputs, 1);
  for (const int threads : thread_counts) {
    CAPTURE(threads);
    const OpResult<T> many = run_op(op, inputs, threads);
    CHECK(same_bits(one.y, many.y));
    for (std::size_t i = 0; i < inputs.size(); ++i) CHECK(same_bits(one.gradients[i], many.gradients[i]));
  }
}

/// The op's values are dropped with their last Var and computed again in backward: a reader of them, and the op, give the same bits as where
/// a Var keeps them.
template <class Op>
void check_restores(const Op& op, const std::vector<Tensor<float>>& inputs) {
  const auto gradients = [&](bool keeps) {
    Context context(1);
    Tape<float> tape(context);
    std::vector<Var<float>> variables;
    for (const auto& input : inputs) variables.push_back(tape.variable(input));
    Var<float> y = op(std::span<const Var<float>>(variables));
    const tombola::Node<float>* const node = y.node();
    const Var<float> kept = keeps ? y : Var<float>();
    y = y * y;
    CHECK((node->value.data() == nullptr) == !keeps);
    tape.backward(y, random_tensor<float>(y.shape(), 99));
    std::vector<Tensor<float>> result;
    for (const auto& variable : variables) result.push_back(tape.gradient(variable));
    return result;
  };
  const auto kept = gradients(true), restored = gradients(false);
  for (std::size_t i = 0; i < inputs.size(); ++i) CHECK(same_bits(kept[i], restored[i]));
}

/// The float result against the double result from the same (float) inputs, values and gradients, relative to max(1, |.|).
template <class Op>
double float_error(const Op& op, const std::vector<Tensor<float>>& inputs) {
  std::vector<Tensor<double>> wide;
  for (const auto& input : inputs) wide.push_back(converted<double>(input));
  const OpResult<float> narrow = run_op(op, inputs);
  const OpResult<double> exact = run_op(op, wide);
  double worst = largest_error(narrow.y, exact.y);
  for (std::size_t i = 0; i < inputs.size(); ++i) {
    worst = std::max(worst, largest_error(narrow.gradients[i], exact.gradients[i]));
  }
  return worst;
}

}  // namespace test_support
