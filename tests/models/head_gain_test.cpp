#include <doctest/doctest.h>

#include <string>

#include "support/models.hpp"
#include "support/tensors.hpp"
#include "tombola/models/conv_n.hpp"
#include "tombola/models/fast_resnet.hpp"
#include "tombola/models/gpt.hpp"
#include "tombola/models/lenet.hpp"
#include "tombola/models/resnet.hpp"
#include "tombola/models/shallow_cnn.hpp"
#include "tombola/models/swin.hpp"
#include "tombola/models/vit.hpp"

using namespace tombola;
using namespace test_support;

namespace {

/// A gain that is a power of two scales the last layer's weights, and with them the logits, without rounding; everything else stays.
template <template <template <class> class, class> class Model, class Options>
void check_head_gain(Options options, const Shape& x, const std::string& head) {
  CAPTURE(head);
  Context context(1);
  Inference<float> pass(context);
  const auto input = random_tensor<float>(x, 1);
  Model<nn::Frozen, float> plain({.seed = 3}, options);
  options.head_gain = 0.25;
  Model<nn::Frozen, float> scaled({.seed = 3}, options);
  CHECK(check_gain(plain, scaled, 0.25, {head}) == 1);
  const Var<float> logits_of_plain = plain(pass.input(input.view())), logits_of_scaled = scaled(pass.input(input.view()));
  const auto logits = logits_of_plain.value(), smaller = logits_of_scaled.value();
  bool differ = false;
  for (Index i = 0; i < logits.size(); ++i) {
    CHECK(smaller.data()[i] == 0.25f * logits.data()[i]);
    differ = differ || logits.data()[i] != logits.data()[0];
  }
  CHECK(differ);
}

}  // namespace

TEST_CASE("head_gain is a factor of the last layer's weights alone, and so of the logits, in every model") {
  check_head_gain<models::LeNet>(models::LeNetOptions{.inputs = 12, .hidden = {7, 5}}, {3, 12}, "fc3.weight");
  check_head_gain<models::ConvN>(models::ConvNOptions{.depth = 4, .size = 8, .width = 0.125}, {3, 8, 8, 3}, "fc3.weight");
  check_head_gain<models::ShallowCnn>(models::ShallowCnnOptions{.width = 0.125, .size = 8}, {3, 8, 8, 3}, "fc.weight");
  check_head_gain<models::FastResNet>(models::FastResNetOptions{.width = 0.125, .size = 8}, {3, 8, 8, 3}, "fc.weight");
  models::ResNetOptions resnet = models::resnet18();
  resnet.width = 0.125;
  check_head_gain<models::ResNet>(resnet, {3, 8, 8, 3}, "fc.weight");
  check_head_gain<models::Vit>(models::VitOptions{.columns = 8, .depth = 2, .heads = 2, .size = 8}, {3, 8, 8, 3}, "heads.head.weight");
  check_head_gain<models::Swin>(models::SwinOptions{.columns = 8, .depths = {2, 1}, .heads = {2, 4}, .window = 2, .size = 16}, {2, 16, 16, 3}, "head.weight");
  check_head_gain<models::Gpt>(models::GptOptions{.vocabulary = 5, .length = 7, .columns = 8, .depth = 2, .heads = 2}, {3, 7, 5}, "lm_head.weight");
}

TEST_CASE("head_gain: what scales no weights is refused") {
  CHECK_THROWS_WITH_AS((models::LeNet<nn::Frozen>(nn::Init{}, {.head_gain = 0})), "weights: expected a scale of 2^-64 to 2^64, got 0", std::invalid_argument);
  CHECK_THROWS_WITH_AS((models::FastResNet<nn::Frozen>(nn::Init{}, {.head_gain = -1})),
                       doctest::Contains("weights: expected a scale of 2^-64 to 2^64, got -"), std::invalid_argument);
}
