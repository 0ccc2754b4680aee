#include <doctest/doctest.h>

#include "support/gates.hpp"
#include "support/models.hpp"
#include "support/tensors.hpp"
#include "support/worst.hpp"
#include "tombola/autograd/check_gradient.hpp"
#include "tombola/gates/gradient.hpp"
#include "tombola/models/swin.hpp"
#include "tombola/models/vit.hpp"
#include "tombola/ops/cross_entropy.hpp"
#include "tombola/ticket/model.hpp"

using namespace tombola;
using namespace test_support;

namespace {

models::VitOptions small_vit() { return {.columns = 8, .depth = 2, .heads = 2, .mlp = 12, .size = 8, .patch = 4, .outputs = 8}; }
models::SwinOptions small_swin() { return {.columns = 8, .depths = {2, 1}, .heads = {2, 4}, .window = 2, .mlp_ratio = 2, .size = 12, .patch = 3, .outputs = 8}; }

}  // namespace

TEST_CASE("vit: the numbers of weights and the names are torchvision's, without biases and normalisation") {
  models::VitOptions options = models::vit_base();
  options.size = 224;
  options.patch = 16;
  options.outputs = 1000;
  options.position = nn::Position::random;
  options.pooling = models::Pooling::class_token;
  models::Vit<nn::Frozen> base(nn::Init{}, options);
  // torchvision's vit_b_16 less the biases (768 + 12 (2304 + 768 + 3072 + 768) + 1000) and norms (25 1536).
  CHECK(weight_count(base) == 86567656 - (768 + 12 * (2304 + 768 + 3072 + 768) + 1000) - 25 * 1536);
  const auto names = weight_names(base);
  CHECK(names.size() == 1 + 2 + 12 * 4 + 1);
  const auto named = [&](const std::string& name) { return std::find(names.begin(), names.end(), name) != names.end(); };
  for (const char* name : {"conv_proj.weight", "class_token", "encoder.pos_embedding", "encoder.layers.encoder_layer_0.self_attention.in_proj_weight",
                           "encoder.layers.encoder_layer_11.self_attention.out_proj.weight", "encoder.layers.encoder_layer_3.mlp.0.weight",
                           "encoder.layers.encoder_layer_3.mlp.3.weight", "heads.head.weight"}) {
    CAPTURE(name);
    CHECK(named(name));
  }
}

TEST_CASE("swin: the numbers of weights and the names are torchvision's, without biases and normalisation") {
  models::Swin<nn::Frozen> tiny(nn::Init{}, models::swin_tiny());
  // torchvision's swin_t less biases (96, each block's qkv, proj and mlp: 9 columns, 1000) and norms (96, each block's 2, merging's 4, 768).
  const Index block_columns = 2 * 96 + 2 * 192 + 6 * 384 + 2 * 768;
  CHECK(weight_count(tiny) == 28288354 - 96 - 9 * block_columns - 1000 - 2 * (96 + 2 * block_columns + 4 * (96 + 192 + 384) + 768));
  const auto names = weight_names(tiny);
  const auto named = [&](const std::string& name) { return std::find(names.begin(), names.end(), name) != names.end(); };
  for (const char* name : {"features.0.0.weight", "features.1.0.attn.qkv.weight", "features.1.1.attn.proj.weight",
                           "features.3.0.attn.relative_position_bias_table", "features.5.5.mlp.0.weight", "features.7.1.mlp.3.weight",
                           "features.2.reduction.weight", "features.6.reduction.weight", "head.weight"}) {
    CAPTURE(name);
    CHECK(named(name));
  }
}

TEST_CASE("a stem of convolutions: names, numbers of weights and tokens are those of torchvision's conv_stem_configs") {
  auto options = small_vit();
  options.stem = {4, 6, 5};
  models::Vit<nn::Frozen> vit(nn::Init{}, options);
  auto swin_options = small_swin();
  swin_options.patch = 4;
  swin_options.size = 16;
  swin_options.stem = {4, 6, 5};
  models::Swin<nn::Frozen> swin(nn::Init{}, swin_options);
  const auto check = [](auto& model, const std::string& stem) {
    const auto names = weight_names(model);
    const std::vector<std::string> expected{stem + ".conv_bn_relu_0.0.weight", stem + ".conv_bn_relu_1.0.weight", stem + ".conv_bn_relu_2.0.weight",
                                            stem + ".conv_last.weight"};
    CHECK(std::equal(expected.begin(), expected.end(), names.begin()));
    std::vector<std::string> norms;
    nn::for_each_of<RunningMoments<float>>(model, [&](RunningMoments<float>& moments) { norms.push_back(moments.name); });
    CHECK(norms == std::vector<std::string>{stem + ".conv_bn_relu_0.1", stem + ".conv_bn_relu_1.1", stem + ".conv_bn_relu_2.1"});
  };
  check(vit, "conv_proj");
  check(swin, "features.0.0");
  CHECK(weight_count(vit) == 9 * (3 * 4 + 4 * 6 + 6 * 5) + 5 * 8 + 2 * (4 * 8 * 8 + 2 * 8 * 12) + 8 * 8);
  Context context(1);
  Tape<float> tape(context);
  CHECK(vit.conv_proj(tape.input(random_tensor<float>({2, 8, 8, 3}, 1))).shape() == Shape{2, 2, 2, 8});
  CHECK(swin.patches(tape.input(random_tensor<float>({1, 16, 16, 3}, 1))).shape() == Shape{1, 4, 4, 8});
}

TEST_CASE("branch_gain is a factor of the last weights of the branches alone, attention_scale one of the logits") {
  auto options = small_vit();
  models::Vit<nn::Frozen> vit(nn::Init{}, options);
  options.branch_gain = 0.3;
  options.attention_scale = 0.25;
  models::Vit<nn::Frozen> scaled_vit(nn::Init{}, options);
  check_gain(vit, scaled_vit, 0.3, {"out_proj.weight", "mlp.3.weight"});
  CHECK(scaled_vit.layers[1].self_attention.options.scale == 0.25 / 2);  // heads of 4 columns
  auto swin_options = small_swin();
  models::Swin<nn::Frozen> swin(nn::Init{}, swin_options);
  swin_options.branch_gain = 0.3;
  swin_options.attention_scale = 0.25;
  models::Swin<nn::Frozen> scaled_swin(nn::Init{}, swin_options);
  check_gain(swin, scaled_swin, 0.3, {"attn.proj.weight", "mlp.3.weight"});
  CHECK(scaled_swin.stages[1].blocks[0].attn.options.scale == 0.25 / 2);
}

TEST_CASE("transformers: gradients of whole networks of two blocks against differences") {
  Context context(1);
  const auto check = [&](auto& model, Index size) {
    auto parameters = nn::parameters<double>(model);
    const Tensor<std::int32_t> labels({2}, {3, 1});
    Tape<double> tape(context);
    const auto x = random_tensor<double>({2, size, size, 3}, 1);
    tape.backward(cross_entropy(model(tape.input(x.view())), labels.view()));
    double worst = 0;
    for (auto* parameter : parameters) {
      for (Index i = 0; i < parameter->value.size(); i += 1 + parameter->value.size() / 7) {
        const double step = 1e-5, at = parameter->value[i];
        const auto value = [&](double moved) {
          parameter->value[i] = moved;
          Inference<double> pass(context, {.normalisation = Normalisation::batch});
          const double result = cross_entropy(model(pass.input(x.view())), labels.view()).item();
          parameter->value[i] = at;
          return result;
        };
        const double slope = (value(at + step) - value(at - step)) / (2 * step);
        test::widen(worst, std::abs(slope - parameter->gradient[i]) / std::max(1.0, std::abs(slope)));
      }
    }
    CHECK(worst < 1e-8);
  };
  for (const auto pooling : {models::Pooling::mean, models::Pooling::class_token}) {
    for (const auto position : {nn::Position::sine, nn::Position::random}) {
      auto options = small_vit();
      options.pooling = pooling;
      options.position = position;
      models::Vit<nn::Trained, double> vit(nn::Init{.seed = 2}, options);
      check(vit, 8);
    }
  }
  models::Swin<nn::Trained, double> swin(nn::Init{.seed = 2}, small_swin());
  check(swin, 12);
  auto with_stem = small_vit();
  with_stem.stem = {4, 6, 5};
  with_stem.attention_scale = 0.3;
  with_stem.branch_gain = 0.5;
  models::Vit<nn::Trained, double> stem(nn::Init{.seed = 2}, with_stem);
  check(stem, 8);
}

TEST_CASE("transformers: gradients of the gates of whole networks of two blocks against differences") {
  Context context(1);
  const auto check = [&](auto& model, Index size) {
    const Tensor<std::int32_t> labels({2}, {3, 1});
    const auto x = random_tensor<double>({2, size, size, 3}, 1);
    const PassOptions options{.gates = Reading::sampled, .seed = 6};
    Tape<double> tape(context, options);
    tape.backward(cross_entropy(model(tape.input(x.view())), labels.view()));
    double worst = 0;
    int compared = 0;
    for (auto* gate : nn::gates<double>(model)) {
      const Tensor<double> slopes = gates::gradient(context, *gate), drawn = unclamped_gates(*gate, options);
      gate->clear_gradient();
      for (Index i = 0; i < gate->size(); i += 1 + gate->size() / 9) {
        if (std::min(std::abs(drawn[i]), std::abs(drawn[i] - 1)) < 1e-3) continue;  // a step may cross the kink of the clamp
        const double step = 1e-5, at = gate->theta[i];
        const auto value = [&](double moved) {
          gate->theta[i] = moved;
          Inference<double> pass(context, options);
          const double result = cross_entropy(model(pass.input(x.view())), labels.view()).item();
          gate->theta[i] = at;
          return result;
        };
        const double slope = (value(at + step) - value(at - step)) / (2 * step);
        test::widen(worst, std::abs(slope - slopes[i]) / std::max(1.0, std::abs(slope)));
        compared += slope != 0;
      }
    }
    CHECK(worst < 1e-8);
    CHECK(compared > 10);
  };
  for (const bool unit_gates : {false, true}) {
    CAPTURE(unit_gates);
    const nn::Init init{.seed = 2, .rescale = unit_gates ? Rescale::none : Rescale::layer};
    auto vit_options = small_vit();
    vit_options.unit_gates = unit_gates;
    vit_options.pooling = models::Pooling::class_token;
    auto swin_options = small_swin();
    swin_options.unit_gates = unit_gates;
    if (unit_gates) {
      models::Vit<nn::Frozen, double> vit(init, vit_options);
      check(vit, 8);
      models::Swin<nn::Frozen, double> swin(init, swin_options);
      check(swin, 12);
    } else {
      models::Vit<nn::Gated, double> vit(init, vit_options);
      check(vit, 8);
      models::Swin<nn::Gated, double> swin(init, swin_options);
      check(swin, 12);
    }
  }
}

TEST_CASE("transformers: the loss of a search falls, and a ticket gives the same network again") {
  const nn::Init init{.seed = 4, .rescale = Rescale::layer};
  auto options = small_vit();
  options.columns = 16;
  options.mlp = 64;
  options.pooling = models::Pooling::class_token;
  options.position = nn::Position::random;
  models::Vit<nn::Gated> vit_a(init, options), vit_b(init, options);
  check_search_and_ticket(vit_a, vit_b, 8, 100);
  models::Swin<nn::Gated> swin_a(init, small_swin()), swin_b(init, small_swin());
  check_search_and_ticket(swin_a, swin_b, 12, 100);
  options.stem = {4, 6, 5};
  options.attention_scale = 0.3;
  options.branch_gain = 0.5;
  models::Vit<nn::Gated> stem_a(init, options), stem_b(init, options);
  check_search_and_ticket(stem_a, stem_b, 8, 100);
}

TEST_CASE("transformers: structured gates on heads and hidden neurons") {
  auto vit_options = small_vit();
  vit_options.unit_gates = true;
  models::Vit<nn::Frozen> vit(nn::Init{}, vit_options);
  auto swin_options = small_swin();
  swin_options.unit_gates = true;
  models::Swin<nn::Frozen> swin(nn::Init{}, swin_options);
  const auto sizes = [](auto& model) {
    std::vector<Index> all;
    for (const auto* gate : nn::gates(model)) all.push_back(gate->size());
    return all;
  };
  CHECK(sizes(vit) == std::vector<Index>{2, 12, 2, 12});
  CHECK(sizes(swin) == std::vector<Index>{2, 16, 2, 16, 4, 32});
  Context context(1);
  Tape<float> tape(context);
  const Tensor<std::int32_t> labels({2}, {3, 1});
  tape.backward(cross_entropy(vit(tape.input(random_tensor<float>({2, 8, 8, 3}, 1))), labels.view()));
  for (const auto* gate : nn::gates(vit)) CHECK(gate->pending);
}

TEST_CASE("transformers: what they refuse") {
  const auto vit = [](models::VitOptions options) { return models::Vit<nn::Frozen>(nn::Init{}, options); };
  CHECK_THROWS_WITH_AS(vit({.patch = 5}), "vit: expected images whose size the patches divide, got 32 and 5", std::invalid_argument);
  CHECK_THROWS_WITH_AS(vit({.heads = 5}), "encoder.layers.encoder_layer_0.self_attention: expected heads that divide the width, got 5 heads and 192",
                       std::invalid_argument);
  CHECK_THROWS_WITH_AS(vit({.columns = 6, .heads = 1}), "sine_positions_2d: expected columns that 4 divides, at least 4, got 6", std::invalid_argument);
  CHECK_THROWS_WITH_AS(vit({.stem = {8}}), "conv_proj: expected a stem that halves images to patches of 4, got 1 layers, which make 2",
                       std::invalid_argument);
  CHECK_THROWS_WITH_AS(vit({.size = 36, .patch = 6, .stem = {8, 8, 8}}),
                       "conv_proj: expected a stem that halves images to patches of 6, got 3 layers, which make 8", std::invalid_argument);
  CHECK_THROWS_WITH_AS(vit({.attention_scale = 0}), "attention: expected a finite factor of the logits above 0, got 0", std::invalid_argument);
  CHECK_THROWS_WITH_AS(vit({.branch_gain = 0}), "weights: expected a scale of 2^-64 to 2^64, got 0", std::invalid_argument);
  CHECK_THROWS_WITH_AS(vit({.depth = -1}), "vit: expected a depth and hidden neurons of at least 0, got -1 and 0", std::invalid_argument);
  const auto swin = [](models::SwinOptions options) { return models::Swin<nn::Frozen>(nn::Init{}, options); };
  CHECK_THROWS_WITH_AS(swin({.depths = {2, 2}}), "swin: expected 1 to 15 stages with a depth and heads each, got 2 depths and 4 heads",
                       std::invalid_argument);
  CHECK_THROWS_WITH_AS(swin({.patch = 5}), "swin: expected images whose size the patches divide, got 32 and 5", std::invalid_argument);
  CHECK_THROWS_WITH_AS(swin({.depths = {2, 2, 0, 2}}), "swin: expected stages of at least one block, got one of 0", std::invalid_argument);
  Context context(1);
  Inference<float> pass(context);
  auto sixteen = vit({.depth = 1, .size = 16});
  auto windows = swin({.columns = 6, .depths = {2}, .heads = {2}, .window = 2, .size = 16});
  for (const Shape& shape : {Shape{1, 32, 8, 3}, Shape{1, 17, 17, 3}, Shape{4, 8, 8, 3}, Shape{1, 16, 16, 1}, Shape{16, 16, 3}}) {
    const Var<float> x = pass.input(Tensor<float>(shape));
    CHECK_THROWS_WITH_AS(sixteen(x), concat("vit: expected x [batch, 16, 16, 3], got ", shape).c_str(), std::invalid_argument);
    CHECK_THROWS_WITH_AS(windows(x), concat("swin: expected x [batch, 16, 16, 3], got ", shape).c_str(), std::invalid_argument);
  }
  const Var<float> tokens = pass.input(Tensor<float>({4, 4, 4, 6}));
  CHECK_THROWS_WITH_AS(windows.stages[0].blocks[1](tokens), "features.1.1.norm1: expected x [batch, 8, 8, columns], got [4, 4, 4, 6]",
                       std::invalid_argument);
  CHECK_THROWS_WITH_AS(swin({.window = 0}), "swin: expected a window and an mlp_ratio of at least 1, got 0 and 4", std::invalid_argument);
}

TEST_CASE("positions: waves, and adding them") {
  Context context(1);
  Inference<float> pass(context);
  const auto add = [&](const Shape& x, const Shape& positions) {
    return nn::add_positions(pass.input(random_tensor<float>(x, 1)), pass.input(random_tensor<float>(positions, 2)));
  };
  CHECK_THROWS_WITH_AS(add({2, 3, 4}, {2, 4}), "add_positions: expected x [sequences, length, columns] and positions [length, columns], got [2, 3, 4] and [2, 4]",
                       std::invalid_argument);
  CHECK_THROWS_WITH_AS(add({3, 4}, {3, 4}), "add_positions: expected x [sequences, length, columns] and positions [length, columns], got [3, 4] and [3, 4]",
                       std::invalid_argument);
  const Var<float> sum = add({2, 3, 4}, {3, 4});
  for (Index i = 0; i < 24; ++i) {
    CHECK(sum.value()[i] == random_tensor<float>({2, 3, 4}, 1)[i] + random_tensor<float>({3, 4}, 2)[i % 12]);
  }
  const Tensor<double> line = nn::sine_positions<double>(3, 4);
  CHECK(line[0] == 0);
  CHECK(line[2] == 1);
  CHECK(line[4 + 0] == doctest::Approx(std::sin(1)));
  CHECK(line[4 + 1] == doctest::Approx(std::sin(0.01)));
  CHECK(line[8 + 3] == doctest::Approx(std::cos(0.02)));
  const Tensor<double> plane = nn::sine_positions_2d<double>(2, 3, 8);
  REQUIRE(plane.shape() == Shape{6, 8});
  for (Index c = 0; c < 4; ++c) {
    CHECK(plane[4 * 8 + c] == line[1 * 4 + c]);      // pixel (1, 1)
    CHECK(plane[4 * 8 + 4 + c] == line[1 * 4 + c]);
    CHECK(plane[2 * 8 + c] == line[0 * 4 + c]);      // pixel (0, 2)
    CHECK(plane[2 * 8 + 4 + c] == line[2 * 4 + c]);
  }
  CHECK_THROWS_WITH_AS(nn::sine_positions(3, 5), "sine_positions: expected an even number of columns, at least 2, got 5", std::invalid_argument);
}
