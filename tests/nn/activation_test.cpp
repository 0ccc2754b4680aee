#include "tombola/nn/activation.hpp"

#include <doctest/doctest.h>

#include "support/tensors.hpp"

using namespace tombola;
using namespace test_support;

TEST_CASE("activation: each kind is its op, with the constants that the header names") {
  Context context(1);
  Inference<double> pass(context);
  const Tensor<double> values({5}, {-2, -0.5, 0, 0.5, 2});
  const Var<double> x = pass.input(values);
  const auto same = [&](nn::ActivationKind kind, const Var<double>& y) {
    CHECK(same_bits<double>(nn::Activation{kind}(x).value(), y.value()));
  };
  using enum nn::ActivationKind;
  same(relu, tombola::relu(x));
  same(leaky_relu, tombola::leaky_relu(x, 0.01));
  same(prelu, tombola::prelu(x, 0.25));
  same(elu, tombola::elu(x, 1));
  same(gelu, tombola::gelu(x));
  same(nn::ActivationKind::tanh, tombola::tanh(x));
  same(sigmoid, tombola::sigmoid(x));
  same(softsign, tombola::softsign(x));
  same(nn::Activation{}.kind, tombola::leaky_relu(x));
}

TEST_CASE("activation: names stand in the order of the kinds") {
  CHECK(nn::activation_names[static_cast<std::size_t>(nn::ActivationKind::relu)] == "relu");
  CHECK(nn::activation_names[static_cast<std::size_t>(nn::ActivationKind::leaky_relu)] == "leaky_relu");
  CHECK(nn::activation_names[static_cast<std::size_t>(nn::ActivationKind::prelu)] == "prelu");
  CHECK(nn::activation_names[static_cast<std::size_t>(nn::ActivationKind::elu)] == "elu");
  CHECK(nn::activation_names[static_cast<std::size_t>(nn::ActivationKind::gelu)] == "gelu");
  CHECK(nn::activation_names[static_cast<std::size_t>(nn::ActivationKind::tanh)] == "tanh");
  CHECK(nn::activation_names[static_cast<std::size_t>(nn::ActivationKind::sigmoid)] == "sigmoid");
  CHECK(nn::activation_names[static_cast<std::size_t>(nn::ActivationKind::softsign)] == "softsign");
  CHECK(parse_name<nn::ActivationKind>("--activation", nn::activation_names, "gelu") == nn::ActivationKind::gelu);
}

TEST_CASE("activation: another kind is refused") {
  Context context(1);
  Inference<float> pass(context);
  const Tensor<float> x({1});
  CHECK_THROWS_WITH_AS(nn::Activation{static_cast<nn::ActivationKind>(99)}(pass.input(x)),
                       "activation: expected one of the 8 kinds, got 99", std::invalid_argument);
}
