#include "tombola/nn/state.hpp"

#include <doctest/doctest.h>

#include <cmath>
#include <type_traits>

#include "support/tensors.hpp"
#include "tombola/models/lenet.hpp"
#include "tombola/ops/cross_entropy.hpp"
#include "tombola/optim/adam.hpp"
#include "tombola/optim/sgd.hpp"

using namespace tombola;
using namespace test_support;

namespace {

const models::LeNetOptions small{.inputs = 6, .hidden = {9, 5}, .outputs = 3};

nn::Init init_with(SigmaMode sigma_mode, bool through_penalty = false, std::uint64_t seed = 3) {
  return {.seed = seed,
          .gates = {.sigma_mode = sigma_mode, .sigma_through_penalty = through_penalty},
          .rescale = Rescale::layer};
}

/// A model and its optimisers. They are made anew for a restored model, as in a new process.
template <class Model>
struct Learner {
  Model net;
  Context context{1};
  optim::Adam<float> adam{context, nn::gates(net), {.rate = 0.1}};
  optim::Sgd<float> sgd{context, nn::parameters(net), {.rate = 0.1, .weight_decay = 1e-3}};

  Learner(const nn::Init& init, const models::LeNetOptions& options) : net(init, options) {}

  void learn(std::uint32_t first, std::uint32_t steps) {
    const Tensor<float> x = random_tensor<float>({16, 6}, 5);
    Tensor<std::uint8_t> labels(Shape{16});
    for (Index i = 0; i < 16; ++i) labels[i] = static_cast<std::uint8_t>(i % 3);
    for (std::uint32_t step = first; step < first + steps; ++step) {
      Tape<float> tape(context, {.gates = Reading::sampled, .seed = 7, .step = step});
      tape.backward(cross_entropy(net(tape.input(x)), View<const std::uint8_t>(labels)));
      for (auto* gate : nn::gates(net)) {
        gate->penalty = Penalty::sparse;
        gate->penalty_weight = 1e-3f;
      }
      adam.step();
      sgd.step();
    }
  }
  Bytes state() {
    Writer writer;
    nn::write_state(writer, net);
    return writer.take();
  }
};

/// Learns, restores into an untouched model, and goes on with both: every byte that learning changes must agree.
template <class Model>
void check_continues(const nn::Init& init, const models::LeNetOptions& options) {
  Learner<Model> learner(init, options), restored(init, options);
  learner.learn(0, 4);
  const Bytes saved = learner.state();
  REQUIRE(saved != restored.state());
  Reader reader(saved, "state");
  nn::read_state(reader, restored.net);
  CHECK(reader.remaining() == 0);
  CHECK(restored.state() == saved);
  restored.adam.set_steps(learner.adam.steps());
  learner.learn(4, 4);
  restored.learn(4, 4);
  const Bytes continued = learner.state();
  CHECK(continued != saved);
  CHECK(restored.state() == continued);
}

}  // namespace

TEST_CASE("state: learning goes on with the same bits") {
  models::LeNetOptions structured = small;
  structured.unit_gates = structured.input_gates = true;
  for (const SigmaMode mode : {SigmaMode::fixed, SigmaMode::layer, SigmaMode::gate}) {
    CAPTURE(static_cast<int>(mode));
    check_continues<models::LeNet<nn::Gated>>(init_with(mode), small);
    check_continues<models::LeNet<nn::Frozen>>(init_with(mode), structured);
    check_continues<models::LeNet<nn::Joint>>(init_with(mode), small);
  }
  check_continues<models::LeNet<nn::Gated>>(init_with(SigmaMode::gate, true), small);
  check_continues<models::LeNet<nn::Trained>>(init_with(SigmaMode::fixed), small);
  check_continues<models::LeNet<nn::Trained>>(init_with(SigmaMode::layer), structured);
}

TEST_CASE("state: what is stored of each leaf") {
  // 6 * 9 + 9 * 5 + 5 * 3 = 114 weights in three tensors; each stored tensor has its size in front.
  const auto size_of = []<template <class> class Source>(std::type_identity<models::LeNet<Source>>, SigmaMode mode) {
    return static_cast<Index>(Learner<models::LeNet<Source>>(init_with(mode), small).state().size());
  };
  const auto stored = [](Index tensors, Index values) { return 8 * tensors + 4 * values; };
  CHECK(size_of(std::type_identity<models::LeNet<nn::Gated>>{}, SigmaMode::fixed) == stored(9, 3 * 114));
  CHECK(size_of(std::type_identity<models::LeNet<nn::Gated>>{}, SigmaMode::layer) == stored(18, 3 * 114 + 9));
  CHECK(size_of(std::type_identity<models::LeNet<nn::Gated>>{}, SigmaMode::gate) == stored(18, 6 * 114));
  CHECK(size_of(std::type_identity<models::LeNet<nn::Trained>>{}, SigmaMode::fixed) == stored(6, 2 * 114));
  CHECK(size_of(std::type_identity<models::LeNet<nn::Joint>>{}, SigmaMode::fixed) == stored(15, 5 * 114));
  CHECK(size_of(std::type_identity<models::LeNet<nn::Frozen>>{}, SigmaMode::fixed) == 0);
}

TEST_CASE("state: momentum is stored before an optimiser has made it") {
  models::LeNet<nn::Trained> net(init_with(SigmaMode::fixed), small);
  REQUIRE(net.layers[0].weight.weight.momentum.size() == 0);
  Writer writer;
  nn::write_state(writer, net);
  models::LeNet<nn::Trained> other(init_with(SigmaMode::fixed, false, 4), small);
  const Bytes saved = writer.take();
  Reader reader(saved, "state");
  nn::read_state(reader, other);
  CHECK(same_bits(net.layers[0].weight.weight.value, other.layers[0].weight.weight.value));
  for (const float u : other.layers[0].weight.weight.momentum) CHECK(u == 0);
}

TEST_CASE("state: reading brings sigma with it and drops pending gradients") {
  for (const SigmaMode mode : {SigmaMode::layer, SigmaMode::gate}) {
    Learner<models::LeNet<nn::Gated>> learner(init_with(mode), small), other(init_with(mode), small);
    learner.learn(0, 3);
    auto& gate = other.net.layers[0].weight.gate;
    gate.pending = gate.has_gradient = true;
    gate.penalty_weight = 1;
    const Bytes saved = learner.state();
    Reader reader(saved, "state");
    nn::read_state(reader, other.net);
    CHECK_FALSE(gate.pending);
    CHECK_FALSE(gate.has_gradient);
    CHECK(gate.penalty_weight == 0);
    const auto& from = learner.net.layers[0].weight.gate;
    CHECK(gate.sigma == from.sigma);
    CHECK(same_bits(gate.learned_sigma.sigmas, from.learned_sigma.sigmas));
    CHECK((mode == SigmaMode::gate ? from.learned_sigma.sigmas[0] : from.sigma) != 0.5f);
  }
}

TEST_CASE("state: reading drops pending gradients of trained weights") {
  nn::Init init{.seed = 3};
  nn::Trained<float> weight(init, "w", {3, 5}, {5, 3});
  auto* parameter = nn::parameters(weight)[0];
  Writer writer;
  nn::write_state(writer, weight);
  parameter->has_gradient = true;
  const Bytes saved = writer.take();
  Reader reader(saved, "state");
  nn::read_state(reader, weight);
  CHECK_FALSE(parameter->has_gradient);
}

TEST_CASE("state: of doubles") {
  nn::Init init{.seed = 3}, again = init;
  nn::Gated<double> gated(init, "w", {3, 5}, {5, 3}), other(again, "w", {3, 5}, {5, 3});
  gated.gate.theta = random_tensor<double>({3, 5}, 1);
  Writer writer;
  nn::write_state<double>(writer, gated);
  CHECK(writer.size() == 3 * (8 + 8 * 15));
  const Bytes saved = writer.take();
  Reader reader(saved, "state");
  nn::read_state<double>(reader, other);
  CHECK(same_bits(gated.gate.theta, other.gate.theta));
}

TEST_CASE("state: a model of other sizes is refused") {
  Learner<models::LeNet<nn::Gated>> learner(init_with(SigmaMode::fixed), small);
  const Bytes saved = learner.state();
  models::LeNet<nn::Gated> wider(init_with(SigmaMode::fixed), {.inputs = 6, .hidden = {10, 5}, .outputs = 3});
  Reader reader(saved, "run/state");
  CHECK_THROWS_WITH_AS(nn::read_state(reader, wider), "run/state: at byte 8: expected 60 elements of fc1.weight (theta), got 54",
                       std::runtime_error);
  models::LeNet<nn::Gated> learned(init_with(SigmaMode::layer), small);
  float& theta = nn::gates(learned).front()->theta[0];
  theta = 0.75f;
  Reader second(saved, "run/state");  // the first layer's log sigma is missing: the next layer's size stands there
  CHECK_THROWS_WITH_AS(nn::read_state(second, learned), "run/state: at byte 680: expected 1 elements of fc1.weight (log sigma), got 45",
                       std::runtime_error);
  CHECK(theta == 0.75f);  // though it lies before
}

TEST_CASE("state: every truncation is refused") {
  Learner<models::LeNet<nn::Joint>> learner(init_with(SigmaMode::layer), {.inputs = 6, .hidden = {2}, .outputs = 3});
  const Bytes saved = learner.state();
  nn::gates(learner.net).front()->theta[0] = 0.75f;
  nn::parameters(learner.net).front()->value[0] = 0.75f;
  const Bytes others = learner.state();
  REQUIRE(others != saved);
  for (std::size_t size = 0; size < saved.size(); ++size) {
    Reader reader({saved.data(), size}, "state");
    CHECK_THROWS_AS(nn::read_state(reader, learner.net), std::runtime_error);
    CHECK(learner.state() == others);  // nothing has changed
  }
  Reader reader({saved.data(), 10}, "state");
  CHECK_THROWS_WITH_AS(nn::read_state(reader, learner.net),
                       "state: at byte 8: expected 48 more bytes, got 2 (the file is truncated)", std::runtime_error);
}
