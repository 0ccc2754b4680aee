#include "tombola/nn/transformer_block.hpp"

#include <doctest/doctest.h>

#include "support/tensors.hpp"
#include "tombola/nn/members.hpp"

using namespace tombola;
using namespace test_support;

TEST_CASE("transformer block: its first token alone is what it gives for the first token, gradients of gates included") {
  Context context(1);
  for (const bool units : {false, true}) {
    CAPTURE(units);
    nn::Init init{.seed = 3, .rescale = Rescale::layer};
    nn::TransformerBlock<nn::Gated, double> block(init, "block", 6, 10, {.heads = 2}, 0.7);
    if (units) block.add_units(init);
    const auto gates = nn::gates<double>(block);
    REQUIRE(gates.size() == (units ? 6 : 4));
    const Tensor<double> x = random_tensor<double>({3, 5, 6}, 1), dy = random_tensor<double>({3, 6}, 2);
    const auto run = [&](auto first) {
      Tape<double> tape(context, {.seed = 4});
      const Var<double> input = tape.variable(x.view()), y = first(input);
      std::vector<Tensor<double>> found;
      found.push_back(Tensor<double>::copy_of(y.value()));
      tape.backward(y, dy);
      found.push_back(tape.gradient(input));
      for (auto* gate : gates) {
        found.push_back(gates::gradient(context, *gate));
        gate->clear_gradient();
      }
      return found;
    };
    const auto alone = run([&](const Var<double>& in) { return reshape(block.first_token(in), {3, 6}); });
    const auto of_all = run([&](const Var<double>& in) { return first_token(block(in)); });
    for (std::size_t i = 0; i < alone.size(); ++i) CHECK(largest_error(alone[i], of_all[i]) < 1e-13);
  }
}

TEST_CASE("transformer block: a first token of other shapes") {
  Context context(1);
  nn::Init init{.seed = 3};
  nn::TransformerBlock<nn::Frozen> block(init, "block", 4, 8, {.heads = 2}), causal(init, "causal", 4, 8, {.heads = 2, .causal = true});
  Inference<float> pass(context);
  const auto zeros = [&](const Shape& shape) { return pass.input(Tensor<float>(shape)); };
  CHECK(block.first_token(zeros({0, 3, 4})).shape() == Shape{0, 1, 4});
  CHECK_THROWS_WITH_AS(block.first_token(zeros({3, 4})), "first_token: expected x [sequences, length, columns] with tokens, got [3, 4]", std::invalid_argument);
  CHECK_THROWS_WITH_AS(block.first_token(zeros({2, 3, 5})), "block.ln_1: expected x [..., 4], got [2, 3, 5]", std::invalid_argument);
  CHECK_THROWS_WITH_AS(causal.first_token(zeros({2, 3, 4})),
                       "first_token_attention: expected attention to all tokens: a first one sees itself alone where it is causal", std::invalid_argument);
}
