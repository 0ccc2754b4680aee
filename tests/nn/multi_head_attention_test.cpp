#include "tombola/nn/multi_head_attention.hpp"

#include <doctest/doctest.h>

#include "support/gate_gradients.hpp"
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
