#include "tombola/nn/connections.hpp"

#include <doctest/doctest.h>

#include "support/tensors.hpp"
#include "tombola/models/conv_n.hpp"
#include "tombola/models/fast_resnet.hpp"
#include "tombola/models/lenet.hpp"
#include "tombola/models/resnet.hpp"
#include "tombola/models/shallow_cnn.hpp"
#include "tombola/models/swin.hpp"
#include "tombola/models/vit.hpp"
#include "tombola/nn/any_model.hpp"
#include "tombola/ops/sum.hpp"

using namespace tombola;
using namespace test_support;

namespace {

template <class Model>
Index gate_count(Model& model) {
  Index count = 0;
  for (const auto* gate : nn::gates(model)) count += gate->size();
  return count;
}

/// Closes gates at random, all but a share of them, and those of these names wholly.
template <class Model>
void close(Model& model, double share, const std::string& name = "") {
  std::uint32_t group = 0;
  for (auto* gate : nn::gates(model)) {
    Bits open(gate->size());
    const Stream stream{3, Purpose::control, group++, 0};
    for (Index i = 0; i < open.size(); ++i) open.set(i, gate->name != name && stream.word(static_cast<std::uint64_t>(i)) < share * 0x1p32);
    gates::set_mask(*gate, open);
  }
}

/// The same count from the engine itself: a gate is effective if the gradient of the sum of all outputs reaches its weight in a network of
/// positive weights and inputs without normalisation, where nothing cancels and no ReLU closes.
template <class Model>
Index effective_by_gradients(Model& model, const Shape& image) {
  Context context(1);
  Tape<float> tape(context, {.gates = Reading::binary});
  Tensor<float> x = Tensor<float>::filled(image, 1.0f);
  tape.backward(sum(model(tape.input(x.view()))));
  Index count = 0;
  for (const auto* weight : nn::parameters(model)) {  // d loss / d w = z dproduct: 0 where the gate is closed
    for (const float gradient : weight->gradient) count += gradient != 0;
  }
  return count;
}

/// Weights above zero: |w|.
template <class Model>
void make_positive(Model& model) {
  for (auto* weight : nn::parameters(model)) {
    for (float& value : weight->value) value = std::abs(value);
  }
}

}  // namespace

TEST_CASE("effective_kept: all gates of an open network, for every model and with gates on channels") {
  const auto check = [](auto model, const char* last) {
    CAPTURE(last);
    for (auto* gate : nn::gates(model)) gates::set_mask(*gate, Bits::all(gate->size()));
    CHECK(nn::effective_kept(model) == gate_count(model));
    close(model, 1.0, last);  // nothing reaches the output
    CHECK(nn::effective_kept(model) == 0);
  };
  const nn::Init init;
  for (const bool units : {false, true}) {
    check(models::LeNet<nn::Gated>(init, {.inputs = 12, .hidden = {7, 5}, .outputs = 3, .unit_gates = units, .input_gates = units}), "fc3.weight");
    check(models::ConvN<nn::Gated>(init, {.depth = 4, .size = 8, .width = 1.0 / 16, .unit_gates = units}), "conv2.weight");
    check(models::ShallowCnn<nn::Gated>(init, {.stages = {4, 6}, .size = 8, .unit_gates = units}), "conv2.weight");
    check(models::FastResNet<nn::Gated>(init, {.stem = 4, .stages = {6, 8}, .size = 8, .unit_gates = units}), "stage2.conv.weight");
    check(models::FastResNet<nn::Joint>(init, {.stem = 4, .stages = {6, 8}, .size = 8, .unit_gates = units}), "stage1.conv.weight");
    for (auto options : {models::resnet18(), models::resnet50()}) {
      options.width = 1.0 / 16;
      options.unit_gates = units;
      check(models::ResNet<nn::Gated>(init, options), "conv1.weight");
    }
    const models::VitOptions vit{.columns = 8, .depth = 2, .heads = 2, .mlp = 12, .size = 8, .unit_gates = units};
    check(models::Vit<nn::Gated>(init, vit), "conv_proj.weight");
    auto with_stem = vit;
    with_stem.stem = {4, 6};
    check(models::Vit<nn::Gated>(init, with_stem), "conv_proj.conv_bn_relu_1.0.weight");
    const models::SwinOptions swin{.columns = 4, .depths = {2, 1}, .heads = {2, 4}, .window = 2, .size = 8, .unit_gates = units};
    check(models::Swin<nn::Gated>(init, swin), "features.2.reduction.weight");
  }
}

TEST_CASE("effective_kept: what gradients reach, in networks without normalisation") {
  const auto check = [](auto model, double share) {
    make_positive(model);
    close(model, share);
    const Index size = 8;
    const Index effective = nn::effective_kept(model), direct = [&] {
      Index count = 0;
      for (const auto* gate : nn::gates(model)) count += gates::mask(*gate).count();
      return count;
    }();
    CHECK(effective < direct);  // so that the test says something
    CHECK(effective == effective_by_gradients(model, {1, size, size, 3}));
  };
  const nn::Init init;
  check(models::LeNet<nn::Joint>(init, {.inputs = 192, .hidden = {40, 20}, .outputs = 5, .activation = {nn::ActivationKind::relu}}), 0.02);
  // A mean over the image would hide no tap: every open tap of a 3 x 3 kernel meets some pixel of 4 x 4 and more.
  check(models::ShallowCnn<nn::Joint>(init, {.stages = {6, 8}, .size = 8}), 0.04);
}

TEST_CASE("effective_kept: paths through attention and merged pixels") {
  nn::Init init;
  const auto set = [](auto& model, const std::string& name, std::initializer_list<Index> open) {
    for (auto* gate : nn::gates(model)) {
      if (gate->name != name) continue;
      Bits mask(gate->size());
      for (const Index i : open) mask.set(i, true);
      gates::set_mask(*gate, mask);
    }
  };
  // Four columns in two heads: rows 0 to 3 of in_proj are queries, 4 to 7 keys, 8 to 11 values.
  struct Block {
    nn::MultiHeadAttention<nn::Gated> attention;
    auto members() { return std::tie(attention); }
    std::vector<nn::Connection> connections() const {
      nn::ConnectionChain chain;
      attention.connect(chain);
      return chain.made;
    }
  };
  Block block{nn::MultiHeadAttention<nn::Gated>(init, "a", 4, {.heads = 2})};
  set(block, "a.in_proj_weight", {0 * 4 + 1, 5 * 4 + 2, 8 * 4 + 0, 11 * 4 + 3});  // a query and a key of head 0, a value of each
  set(block, "a.out_proj.weight", {2 * 4 + 0});                                  // reads column 0
  CHECK(nn::effective_kept(block) == 4);                                         // not the value of head 1
  set(block, "a.out_proj.weight", {2 * 4 + 3});
  CHECK(nn::effective_kept(block) == 2);
  set(block, "a.out_proj.weight", {2 * 4 + 1});  // a column that no value reaches, but a query and a key of its head
  CHECK(nn::effective_kept(block) == 3);

  struct Merge {
    nn::Linear<nn::Gated> first, reduction;
    auto members() { return std::tie(first, reduction); }
    std::vector<nn::Connection> connections() const {
      nn::ConnectionChain chain;
      chain.add("first.weight");
      chain.add("reduction.weight", 1, 4);
      return chain.made;
    }
  };
  Merge merge{nn::Linear<nn::Gated>(init, "first", 3, 2), nn::Linear<nn::Gated>(init, "reduction", 8, 2)};
  set(merge, "first.weight", {0 * 3 + 1, 1 * 3 + 0});
  set(merge, "reduction.weight", {3, 5});  // channel 1 of two pixels
  CHECK(nn::effective_kept(merge) == 3);
}

TEST_CASE("effective_kept: a model whose connections name something else") {
  struct Odd {
    nn::Linear<nn::Gated> fc;
    auto members() { return std::tie(fc); }
    std::vector<nn::Connection> connections() const { return {{"fc9.weight", 0, 1}}; }
  };
  nn::Init init;
  Odd odd{nn::Linear<nn::Gated>(init, "fc1", 3, 2)};
  CHECK_THROWS_WITH_AS(nn::effective_kept(odd), "effective_kept: expected a model with fc9.weight, got none", std::invalid_argument);
}

TEST_CASE("effective_kept: connections that do not fit") {
  struct Model {
    nn::Linear<nn::Gated> fc;
    std::vector<nn::Connection> made;
    auto members() { return std::tie(fc); }
    std::vector<nn::Connection> connections() const { return made; }
  };
  nn::Init init;
  const auto refused = [&](Index outputs, std::vector<nn::Connection> made, const char* message) {
    Model model{nn::Linear<nn::Gated>(init, "fc", outputs, outputs), std::move(made)};
    CHECK_THROWS_WITH_AS(nn::effective_kept(model), message, std::invalid_argument);
  };
  refused(7, {{"fc.weight", 0, 1}, {"fc.weight", 1, 2}}, "effective_kept: expected each weight and group of gates once, got fc.weight twice");
  refused(12, {{"fc.weight", 0, 1}, {"", 1, 2, 1, 1, 8}}, "effective_kept: expected queries, keys and values of 8 heads, got 12 channels");
  refused(12, {{"fc.weight", 0, 1}, {"", 1, 2, 1, 1, 3}}, "effective_kept: expected queries, keys and values of 3 heads, got 12 channels");
  refused(4, {{"fc.weight", 0, 1, 1, 0}}, "effective_kept: expected taps and a repeat of at least 1 for fc.weight, got 0 and 1");
  refused(4, {{"fc.weight", 0, 1, 0}}, "effective_kept: expected taps and a repeat of at least 1 for fc.weight, got 1 and 0");
}
