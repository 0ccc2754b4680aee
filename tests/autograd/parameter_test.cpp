#include "tombola/autograd/parameter.hpp"

#include <doctest/doctest.h>

#include "support/tensors.hpp"
#include "tombola/ops/arithmetic.hpp"
#include "tombola/ops/sum.hpp"

using namespace tombola;
using namespace test_support;

namespace {

/// loss = sum (p p): d loss / dp = 2 p.
void backward_once(Context& context, Parameter<float>& p) {
  Tape<float> tape(context);
  const Var<float> v = parameter_value(tape, p);
  tape.backward(sum(v * v));
}

}  // namespace

TEST_CASE("parameter: its gradient is left with it") {
  Context context(1);
  Parameter<float> p(Tensor<float>({3}, {1, -2, 3}));
  CHECK_FALSE(p.has_gradient);
  backward_once(context, p);
  CHECK(p.has_gradient);
  CHECK(same_bits(p.gradient, Tensor<float>({3}, {2, -4, 6})));
}

TEST_CASE("parameter: one Var for all uses in a pass, whose gradients add up") {
  Context context(1);
  Parameter<float> p(Tensor<float>({2}, {1, -2}));
  Tape<float> tape(context);
  const Var<float> a = parameter_value(tape, p), b = parameter_value(tape, p);
  CHECK(a.node() == b.node());
  CHECK(a.value().data() == p.value.data());
  tape.backward(sum(a * 3) + sum(b * b));
  CHECK(same_bits(p.gradient, Tensor<float>({2}, {5, -1})));
}

TEST_CASE("parameter: gradients of several passes add up until they are cleared") {
  Context context(1);
  Parameter<float> p(Tensor<float>({3}, {1, -2, 3}));
  backward_once(context, p);
  backward_once(context, p);
  CHECK(same_bits(p.gradient, Tensor<float>({3}, {4, -8, 12})));
  p.clear_gradient();
  CHECK_FALSE(p.has_gradient);
  backward_once(context, p);
  CHECK(same_bits(p.gradient, Tensor<float>({3}, {2, -4, 6})));
}

TEST_CASE("parameter: what counts is what there is when backward runs") {
  Context context(1);
  Parameter<float> p(Tensor<float>({1}, {5}));
  SUBCASE("two passes forwards, then both backwards: the gradients add up") {
    Tape<float> first(context), second(context);
    const Var<float> a = sum(parameter_value(first, p) * 3), b = sum(parameter_value(second, p) * 4);
    first.backward(a);
    second.backward(b);
    CHECK(p.gradient[0] == 7);
  }
  SUBCASE("cleared between forward and backward: nothing old is added") {
    backward_once(context, p);
    Tape<float> tape(context);
    const Var<float> loss = sum(parameter_value(tape, p) * 3);
    p.clear_gradient();
    tape.backward(loss);
    CHECK(p.gradient[0] == 3);
  }
  SUBCASE("the parameter itself is what backward starts from") {
    for (int i = 0; i < 2; ++i) {
      Tape<float> tape(context);
      tape.backward(parameter_value(tape, p));
    }
    CHECK(p.gradient[0] == 2);
  }
}

TEST_CASE("parameter: a pass that the loss does not reach it in leaves its gradient alone") {
  Context context(1);
  Parameter<float> p(Tensor<float>({1}, {5})), q(Tensor<float>({1}, {7}));
  const auto run = [&] {
    Tape<float> tape(context);
    const Var<float> aside = parameter_value(tape, p);
    tape.backward(sum(parameter_value(tape, q) * 2));
  };
  run();
  CHECK_FALSE(p.has_gradient);
  CHECK(q.gradient[0] == 2);
  backward_once(context, p);
  run();
  CHECK(p.gradient[0] == 10);
}

TEST_CASE("parameter: inference needs no gradient") {
  Context context(1);
  Parameter<float> p(Tensor<float>({1}, {5}));
  Inference<float> pass(context);
  const Var<float> v = parameter_value(pass, p);
  CHECK(v.item() == 5);
  CHECK_FALSE(v.needs_gradient());
  CHECK_FALSE((v * v).needs_gradient());
}
