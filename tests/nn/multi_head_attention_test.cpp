#include "tombola/nn/multi_head_attention.hpp"

#include <doctest/doctest.h>

#include "support/gate_gradients.hpp"
#include "support/not_finite.hpp"
#include "support/tensors.hpp"
#include "tombola/ops/sum.hpp"

using namespace tombola;
using namespace test_support;

namespace {

template <class Mask>
concept takes_mask = requires(nn::MultiHeadAttention<nn::Gated>& layer, const Var<float>& x, Mask&& mask) {
  layer(x, Var<float>(), std::forward<Mask>(mask));
};
static_assert(takes_mask<Tensor<float>&> && takes_mask<View<const float>> && !takes_mask<Tensor<float>>);

}  // namespace

TEST_CASE("multi-head attention: gradients of gates, the rescaling factor on the weights or on the outputs") {
  Context context(1);
  for (const Index length : {Index{3}, Index{9}}) {  // x has twice as many rows; of 8 and more the weights are multiplied
    for (const Rescale rescale : {Rescale::none, Rescale::layer, Rescale::neuron}) {
      CAPTURE(length);
      CAPTURE(static_cast<int>(rescale));
      nn::Init init{.seed = 3, .gates = {.start_deviation = 0.2}, .rescale = rescale};
      nn::MultiHeadAttention<nn::Gated, double> layer(init, "attention", 4, {.heads = 2});
      const auto gates = nn::gates<double>(layer);
      REQUIRE(gates.size() == 2);
      const Tensor<double> x = random_tensor<double>({2, length, 4}, 1), weights = random_tensor<double>({2, length, 4}, 2);
      const GateLoss loss = [&](Pass<double>& pass) { return sum(layer(pass.input(x)) * pass.input(weights)); };
      CHECK(theta_difference(context, gates, loss, {clear_of_kinks<double>(gates, 5)}) < 1e-8);
    }
  }
}

TEST_CASE("multi-head attention: a width that cannot be addressed") {
  nn::Init init;
  using Layer = nn::MultiHeadAttention<nn::Gated>;
  CHECK_THROWS_WITH_AS(Layer(init, "attention", Index{1} << 62, {.heads = 2}),
                       "shape: expected an addressable number of elements, got at least 3 times 4611686018427387904", std::invalid_argument);
}

TEST_CASE("multi-head attention: where the pass asks for it, the part whose output is not finite is named") {
  constexpr float nan = std::numeric_limits<float>::quiet_NaN();
  using Layer = nn::MultiHeadAttention<nn::Frozen>;
  const auto made = [] {
    nn::Init init{.seed = 3};
    return Layer(init, "attn", 4, {.heads = 2});
  };
  Tensor<float> x = random_tensor<float>({2, 3, 4}, 1);
  {
    Layer layer = made();
    const auto first = [&](const Var<float>& in) { return layer.first_token(in); };
    CHECK(not_finite(layer, x) == "all is finite");
    CHECK(not_finite(first, x) == "all is finite");
    x[(1 * 3 + 2) * 4 + 1] = nan;  // the last token of the second sequence, at which all of that sequence looks
    CHECK(not_finite(layer, x) == "attn: expected finite outputs, got nan at row 3, column 0");
    CHECK(not_finite(first, x) == "attn: expected finite outputs, got nan at row 1, column 0");  // a row a sequence
    x[(1 * 3 + 2) * 4 + 1] = 0;
  }
  const auto spoiled = [](nn::FrozenTensor<float>& weight, Index row) {
    Tensor<float> values = Tensor<float>::copy_of(weight.value());
    values[row * 4] = nan;
    weight.load(values);
  };
  for (const auto& [row, column] : {std::pair{2, 2}, {4 + 2, 2}, {8 + 3, 3}}) {  // of a query or a key of the second head; of a value
    Layer layer = made();
    spoiled(layer.in.frozen, row);
    CHECK(not_finite(layer, x) == concat("attn: expected finite outputs, got nan at row 0, column ", column));
  }
  Layer layer = made();
  spoiled(layer.out.weight.frozen, 1);
  CHECK(not_finite(layer, x) == "attn.out_proj: expected finite outputs, got nan at row 0, column 1");
}
