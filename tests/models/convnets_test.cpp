#include <doctest/doctest.h>

#include "support/gates.hpp"
#include "support/models.hpp"
#include "support/tensors.hpp"
#include "tombola/models/conv_n.hpp"
#include "tombola/models/fast_resnet.hpp"
#include "tombola/models/resnet.hpp"
#include "tombola/models/shallow_cnn.hpp"
#include "tombola/ticket/model.hpp"

using namespace tombola;
using namespace test_support;

TEST_CASE("conv_n: shapes and the numbers of weights that edge-popup's networks have") {
  // Conv-2: 64 3 9 + 64 64 9 + 16384 256 + 256 256 + 256 10, and so on.
  for (const auto& [depth, weights] : {std::pair<int, Index>{2, 4300992}, {4, 2425024}, {6, 2261184}, {8, 5275840}}) {
    const int convolutions = depth;
    CAPTURE(convolutions);
    models::ConvN<nn::Frozen> model(nn::Init{}, {.depth = depth});
    CHECK(weight_count(model) == weights);
    CHECK(model.convs.size() == static_cast<std::size_t>(depth));
  }
  models::ConvN<nn::Frozen> model(nn::Init{}, {.depth = 2, .size = 8});
  Context context(1);
  Inference<float> pass(context);
  CHECK(model(pass.input(random_tensor<float>({3, 8, 8, 3}, 1))).shape() == Shape{3, 10});
  CHECK_THROWS_WITH_AS((models::ConvN<nn::Frozen>(nn::Init{}, {.depth = 3})), "conv_n: expected a depth of 2, 4, 6 or 8, got 3",
                       std::invalid_argument);
  CHECK_THROWS_WITH_AS((models::ConvN<nn::Frozen>(nn::Init{}, {.depth = 6, .size = 20})),
                       "conv_n: expected images whose size 3 halvings divide, got 20", std::invalid_argument);
}

TEST_CASE("resnet: the numbers of weights and the names are torchvision's, without biases and normalisation") {
  const auto count = [](models::ResNetOptions options) {
    options.stem = models::Stem::imagenet;
    options.outputs = 1000;
    models::ResNet<nn::Frozen> model(nn::Init{.weights = WeightInit::signed_constant}, options);
    return weight_count(model);
  };
  CHECK(count(models::resnet18()) == 11689512 - 9600 - 1000);
  CHECK(count(models::resnet34()) == 21797672 - 17024 - 1000);
  CHECK(count(models::resnet50()) == 25557032 - 53120 - 1000);
  CHECK(count(models::wide_resnet50_2()) == 68883240 - 68224 - 1000);
  models::ResNetOptions small = models::resnet50();
  small.width = 0.125;
  models::ResNet<nn::Frozen> model(nn::Init{}, small);
  const auto names = weight_names(model);
  CHECK(names.size() == 1 + 16 * 3 + 4 + 1);
  CHECK(names[0] == "conv1.weight");
  CHECK(names[1] == "layer1.0.conv1.weight");
  CHECK(names[4] == "layer1.0.downsample.0.weight");
  CHECK(names[5] == "layer1.1.conv1.weight");
  CHECK(names.back() == "fc.weight");
}

TEST_CASE("resnet: the stems, and what leaves no channels or no blocks") {
  Context context(1);
  for (const auto stem : {models::Stem::imagenet, models::Stem::cifar, models::Stem::pooled}) {
    for (models::ResNetOptions options : {models::resnet18(), models::resnet50(), models::wide_resnet50_2()}) {
      options.stem = stem;
      options.width = 1.0 / 16;
      models::ResNet<nn::Frozen> model(nn::Init{}, options);
      Tape<float> tape(context);
      CHECK(model(tape.input(random_tensor<float>({2, 32, 32, 3}, 1))).shape() == Shape{2, 10});
    }
  }
  // The same weights: pooled is what cifar is, on features that were pooled.
  models::ResNetOptions small = models::resnet18();
  small.width = 1.0 / 16;
  models::ResNet<nn::Frozen> full(nn::Init{}, small);
  small.stem = models::Stem::pooled;
  models::ResNet<nn::Frozen> pooled(nn::Init{}, small);
  Tape<float> tape(context);
  const Var<float> x = tape.input(random_tensor<float>({2, 16, 16, 3}, 1));
  Var<float> h = max_pool2d(full.bn1(full.conv1(x)), {.window = {3, 3}, .stride = {2, 2}, .padding = {1, 1}});
  CHECK(h.shape() == Shape{2, 8, 8, 4});
  for (auto& block : full.blocks) h = block(h);
  CHECK(same_bits<float>(pooled(x).value(), full.fc(global_average_pool(h)).value()));
  CHECK_THROWS_WITH_AS((models::ResNet<nn::Frozen>(nn::Init{}, {.width = 0.001})), "resnet: expected a width that leaves 1 to 2^24 channels, got 0.001",
                       std::invalid_argument);
  small.blocks = {1, 1, 1, 0};
  CHECK_THROWS_WITH_AS((models::ResNet<nn::Frozen>(nn::Init{}, small)), "resnet: expected blocks in each stage, got 0", std::invalid_argument);
  small.blocks = {-1, 1, 1, 1};
  CHECK_THROWS_WITH_AS((models::ResNet<nn::Frozen>(nn::Init{}, small)), "resnet: expected blocks in each stage, got -1", std::invalid_argument);
}

TEST_CASE("convolutional networks: the loss of a search falls, and a ticket gives the same network again") {
  const nn::Init init{.seed = 4, .rescale = Rescale::layer};
  const models::ConvNOptions conv{.depth = 2, .size = 8};
  models::ConvN<nn::Gated> conv_a(init, conv), conv_b(init, conv);
  check_search_and_ticket(conv_a, conv_b, 8, 60);
  models::ResNetOptions residual = models::resnet18();
  residual.width = 0.125;
  models::ResNet<nn::Gated> residual_a(init, residual), residual_b(init, residual);
  check_search_and_ticket(residual_a, residual_b, 16, 60);
}

TEST_CASE("fast_resnet and shallow_cnn: shapes, numbers of weights, and what they refuse") {
  models::FastResNet<nn::Frozen> fast(nn::Init{}, {});
  // conv1, then the convolutions of each stage, then fc
  CHECK(weight_count(fast) == 9 * (3 * 32 + 32 * 64 + 64 * 64 + 64 * 256 + 256 * 256 + 256 * 256 + 256 * 256) + 2560);
  CHECK(weight_names(fast)[2] == "stage1.residual.weight");
  models::ShallowCnn<nn::Frozen> shallow(nn::Init{}, {});
  CHECK(weight_count(shallow) == 9 * (3 * 32 + 32 * 64 + 64 * 128) + 128 * 16 * 10);
  Context context(1);
  for (const bool units : {false, true}) {
    models::FastResNet<nn::Gated> small_fast(nn::Init{}, {.stem = 4, .stages = {6, 8}, .size = 12, .channels = 2, .outputs = 5, .unit_gates = units});
    models::ShallowCnn<nn::Gated> small(nn::Init{}, {.stages = {4, 6}, .size = 12, .channels = 2, .outputs = 5, .unit_gates = units});
    Tape<float> tape(context);
    const auto x = random_tensor<float>({3, 12, 12, 2}, 1);
    CHECK(small_fast(tape.input(x.view())).shape() == Shape{3, 5});
    CHECK(small(tape.input(x.view())).shape() == Shape{3, 5});
    CHECK(nn::gates(small_fast).size() == (units ? 8 : 6));
    CHECK(nn::gates(small).size() == (units ? 5 : 3));
  }
  CHECK_THROWS_WITH_AS((models::FastResNet<nn::Frozen>(nn::Init{}, {.size = 20})),
                       "fast_resnet: expected images whose size the halvings of 1 to 15 stages divide, got 20 and 3 stages", std::invalid_argument);
  CHECK_THROWS_WITH_AS((models::ShallowCnn<nn::Frozen>(nn::Init{}, {.stages = {}})),
                       "shallow_cnn: expected images whose size the halvings of 1 to 15 stages divide, got 32 and 0 stages", std::invalid_argument);
  CHECK_THROWS_WITH_AS((models::FastResNet<nn::Frozen>(nn::Init{}, {.width = 1e6})),
                       "fast_resnet: expected a width that leaves 1 to 2^24 channels, got 1e+06", std::invalid_argument);
  CHECK_THROWS_WITH_AS((models::ShallowCnn<nn::Frozen>(nn::Init{}, {.width = 0.001})),
                       "shallow_cnn: expected a width that leaves 1 to 2^24 channels, got 0.001", std::invalid_argument);
}
