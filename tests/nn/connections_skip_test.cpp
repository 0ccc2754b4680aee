#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <string>
#include <vector>

#include "support/tensors.hpp"
#include "tombola/models/fast_resnet.hpp"
#include "tombola/models/resnet.hpp"
#include "tombola/nn/connections.hpp"
#include "tombola/ops/sum.hpp"

using namespace tombola;
using namespace test_support;

namespace {

/// Opens these gates and no others; says how many are effective.
template <class Model>
Index kept_of(Model& model, const std::map<std::string, std::vector<Index>>& open) {
  for (auto* gate : nn::gates(model)) {
    Bits mask(gate->size());
    const auto found = open.find(gate->name);
    if (found != open.end()) {
      for (const Index i : found->second) mask.set(i, true);
    }
    gates::set_mask(*gate, mask);
  }
  return nn::effective_kept(model);
}

bool is_among(const std::vector<std::string>& names, const std::string& name) { return std::find(names.begin(), names.end(), name) != names.end(); }

/// Closes the gates of these names wholly and opens all others; of those, all are effective but the ones of the names in `dead`.
template <class Model>
void check_closed(Model& model, const std::vector<std::string>& closed, const std::vector<std::string>& dead) {
  CAPTURE(closed.front());
  Index expected = 0;
  for (auto* gate : nn::gates(model)) {
    const bool opens = !is_among(closed, gate->name);
    gates::set_mask(*gate, opens ? Bits::all(gate->size()) : Bits(gate->size()));
    if (opens && !is_among(dead, gate->name)) expected += gate->size();
  }
  CHECK(nn::effective_kept(model) == expected);
}

/// The middle of a 3 x 3 kernel from channel `in` of `channels` to channel `out`.
Index middle(Index out, Index in, Index channels) { return (out * 9 + 4) * channels + in; }

}  // namespace

TEST_CASE("effective_kept: a skip connection keeps its channel alive, and no other") {
  const models::FastResNetOptions options{.stem = 2, .stages = {2}, .size = 4, .channels = 1, .outputs = 1};
  models::FastResNet<nn::Gated> model(nn::Init{}, options);
  // One path leads to channel 0 of h, none to channel 1. y = relu(norm(residual(h)) + h).
  const auto kept = [&](const std::vector<Index>& residual, const std::vector<Index>& fc) {
    return kept_of(model, {{"conv1.weight", {middle(0, 0, 1)}},
                           {"stage1.conv.weight", {middle(0, 0, 2)}},
                           {"stage1.residual.weight", residual},
                           {"fc.weight", fc}});
  };
  CHECK(kept({}, {0}) == 3);                                     // y_0 is h_0
  CHECK(kept({}, {1}) == 0);                                     // y_1 is h_1, which is dead
  CHECK(kept({}, {0, 1}) == 3);                                  // the head reads y_1 for nothing
  CHECK(kept({middle(0, 0, 2)}, {0}) == 4);                      // both ways to y_0
  CHECK(kept({middle(0, 1, 2)}, {0}) == 3);                      // a weight that reads the dead h_1 beside the skip connection
  CHECK(kept({middle(1, 0, 2)}, {1}) == 4);                      // y_1 from h_0, through the residual alone
  CHECK(kept({middle(1, 0, 2)}, {0}) == 3);                      // a y_1 that nothing reads
  CHECK(kept({middle(1, 0, 2), middle(0, 1, 2)}, {0, 1}) == 5);  // the dead h_1 reaches nothing, y_1 lives
  // Structured gates are on h, before both ways.
  auto structured = options;
  structured.unit_gates = true;
  models::FastResNet<nn::Gated> gated(nn::Init{}, structured);
  check_closed(gated, {"stage1.residual.weight"}, {});
  CHECK(kept_of(gated, {{"conv1.weight", {4}}, {"stage1.conv.weight", {4 * 2}}, {"stage1.conv.units", {0}}, {"fc.weight", {0}}}) == 4);
  CHECK(kept_of(gated, {{"conv1.weight", {4}}, {"stage1.conv.weight", {4 * 2}}, {"stage1.conv.units", {1}}, {"fc.weight", {0}}}) == 0);
}

TEST_CASE("effective_kept: residual blocks around an identity and beside a convolution") {
  models::ResNetOptions options{.blocks = {1, 2, 1, 1}, .width = 1.0 / 16, .unit_gates = true};
  models::ResNet<nn::Gated> bottlenecks(nn::Init{}, options);
  const std::string same = "layer2.1.", halves = "layer2.0.";
  check_closed(bottlenecks, {same + "conv2.weight"}, {same + "conv1.weight", same + "conv1.units", same + "conv2.units", same + "conv3.weight"});
  check_closed(bottlenecks, {halves + "conv2.units"}, {halves + "conv1.weight", halves + "conv1.units", halves + "conv2.weight", halves + "conv3.weight"});
  check_closed(bottlenecks, {halves + "downsample.0.weight"}, {});
  check_closed(bottlenecks, {same + "conv3.weight", halves + "conv3.weight"},
               {same + "conv1.weight", same + "conv1.units", same + "conv2.weight", same + "conv2.units", halves + "conv1.weight",
                halves + "conv1.units", halves + "conv2.weight", halves + "conv2.units"});
  options.bottleneck = options.unit_gates = false;
  models::ResNet<nn::Gated> basics(nn::Init{}, options);
  check_closed(basics, {same + "conv1.weight"}, {same + "conv2.weight"});
  check_closed(basics, {halves + "conv2.weight"}, {halves + "conv1.weight"});
  std::vector<std::string> all;
  for (const auto* gate : nn::gates(basics)) all.push_back(gate->name);
  check_closed(basics, {halves + "conv2.weight", halves + "downsample.0.weight"}, all);  // nothing leads around both
}

TEST_CASE("effective_kept: what gradients reach through residual blocks") {
  // Positive weights and images, and normalisation by the moments 0 and 1 that layers begin with: nothing cancels, no ReLU closes a channel that
  // is reached. Images are so large that an open element of a kernel always meets pixels that are.
  for (const bool bottleneck : {false, true}) {
    CAPTURE(bottleneck);
    models::ResNet<nn::Joint> model(nn::Init{}, {.blocks = {1, 2, 1, 1}, .bottleneck = bottleneck, .width = 1.0 / 16});
    for (auto* weight : nn::parameters(model)) {
      for (float& value : weight->value) value = std::abs(value);
    }
    Index kept = 0;
    std::uint32_t group = 0;
    for (auto* gate : nn::gates(model)) {
      Bits open(gate->size());
      const Stream stream{3, Purpose::control, group++, 0};
      for (Index i = 0; i < open.size(); ++i) open.set(i, stream.word(static_cast<std::uint64_t>(i)) % 16 == 0);
      gates::set_mask(*gate, open);
      kept += open.count();
    }
    Context context(1);
    Tape<float> tape(context, {.gates = Reading::binary, .normalisation = Normalisation::running});
    const Tensor<float> x = Tensor<float>::filled({1, 64, 64, 3}, 1.0f);
    tape.backward(sum(model(tape.input(x.view()))));
    Index reached = 0;
    for (const auto* weight : nn::parameters(model)) {
      for (const float gradient : weight->gradient) reached += gradient != 0;
    }
    const Index effective = nn::effective_kept(model);
    CHECK(effective == reached);
    CHECK(effective > 0);
    CHECK(effective < kept);  // so that the test says something
  }
}
