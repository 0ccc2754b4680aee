#include "tombola/nn/any_model.hpp"

#include <doctest/doctest.h>

#include "support/gates.hpp"
#include "support/tensors.hpp"
#include "tombola/models/fast_resnet.hpp"
#include "tombola/models/lenet.hpp"
#include "tombola/ops/cross_entropy.hpp"
#include "tombola/optim/adam.hpp"
#include "tombola/ticket/model.hpp"

using namespace tombola;
using namespace test_support;

namespace {

/// Some steps of a search; the last loss.
template <class Model>
float search(Model& model, View<const float> x) {
  Context context(2);
  const Tensor<std::int32_t> labels({4}, {0, 1, 2, 3});
  optim::Adam<float> adam(context, nn::gates(model), {.rate = 0.05});
  float last = 0;
  for (std::uint32_t step = 0; step < 5; ++step) {
    Tape<float> tape(context, {.seed = 1, .step = step});
    const auto loss = cross_entropy(model(tape.input(x)), labels.view());
    tape.backward(loss);
    adam.step();
    last = loss.item();
  }
  return last;
}

/// Searched as itself and as an AnyModel, moved in between, a model gives the same ticket.
template <class Build>
void check_same(const Build& build, View<const float> x) {
  auto plain = build();
  nn::AnyModel<> first(build());
  nn::AnyModel<> any = std::move(first);
  CHECK(search(any, x) == search(plain, x));
  CHECK(ticket::encode(ticket::make_ticket(any)) == ticket::encode(ticket::make_ticket(plain)));
  CHECK(nn::effective_kept(any) == nn::effective_kept(plain));
}

}  // namespace

TEST_CASE("any_model: serves as the model that it holds") {
  const auto x = random_tensor<float>({4, 8, 8, 3}, 1);
  check_same([] { return models::LeNet<nn::Gated>(nn::Init{}, {.inputs = 192, .hidden = {20}, .outputs = 4}); }, x);
  check_same(
      [] {
        return models::FastResNet<nn::Gated>(nn::Init{}, {.stem = 4, .stages = {8, 8}, .size = 8, .outputs = 4});
      },
      x);
}

TEST_CASE("any_model: all kinds of leaves are found") {
  const models::FastResNetOptions small{.stem = 4, .stages = {8}, .size = 4, .unit_gates = true};
  const auto count = [](nn::AnyModel<> model) {
    std::array<int, 4> found{};
    nn::for_each_of<GateParameter<float>>(model, [&](auto&) { ++found[0]; });
    nn::for_each_of<nn::FrozenTensor<float>>(model, [&](auto&) { ++found[1]; });
    nn::for_each_of<Parameter<float>>(model, [&](auto&) { ++found[2]; });
    nn::for_each_of<RunningMoments<float>>(model, [&](auto&) { ++found[3]; });
    return found;
  };
  // conv1, stage1.conv, stage1.residual, fc; units of one stage; three normalisations
  CHECK(count(nn::AnyModel<>(models::FastResNet<nn::Frozen>(nn::Init{}, small))) == std::array{1, 4, 0, 3});
  CHECK(count(nn::AnyModel<>(models::FastResNet<nn::Gated>(nn::Init{}, small))) == std::array{5, 4, 0, 3});
  CHECK(count(nn::AnyModel<>(models::FastResNet<nn::Trained>(nn::Init{}, small))) == std::array{1, 0, 4, 3});
  CHECK(count(nn::AnyModel<>(models::FastResNet<nn::Joint>(nn::Init{}, small))) == std::array{5, 0, 4, 3});
}
