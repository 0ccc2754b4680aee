#include "tombola/nn/state.hpp"

#include <doctest/doctest.h>

#include <cmath>
#include <type_traits>

#include "support/temporary_folder.hpp"
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

/// The bytes followed by their checksum, as a file of weights ends.
Bytes sealed(Bytes bytes) {
  Writer writer;
  writer.bytes(bytes);
  writer.little(crc64(bytes));
  return writer.take();
}

/// A file of weights with one tensor whose header is given.
Bytes one_tensor(const std::string& magic, std::uint8_t rank, const std::vector<std::uint32_t>& extents, int values) {
  Writer writer;
  writer.bytes(std::span(reinterpret_cast<const std::uint8_t*>(magic.data()), magic.size()));
  writer.little(std::uint32_t{1});
  writer.string("w");
  writer.little(rank);
  for (const std::uint32_t extent : extents) writer.little(extent);
  for (int i = 0; i < values; ++i) writer.little(static_cast<float>(i));
  return sealed(writer.take());
}

const std::string magic("TOMBWGT\1", 8);

nn::NamedWeights some_weights() {
  nn::NamedWeights weights;
  weights.emplace("fc1.weight", random_tensor<float>({3, 4}, 1));
  weights.emplace("fc2.weight", Tensor<float>({2, 1, 2}, {-0.0f, INFINITY, 1e-45f, NAN}));
  weights.emplace("scale", Tensor<float>(Shape{}, {2.5f}));
  weights.emplace("none", Tensor<float>({0, 7}));
  return weights;
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
  CHECK_THROWS_WITH_AS(nn::read_state(reader, wider), "run/state: at byte 8: expected 60 elements, got 54",
                       std::runtime_error);
  models::LeNet<nn::Gated> learned(init_with(SigmaMode::layer), small);
  Reader second(saved, "run/state");  // the first layer's log sigma is missing: the next layer's size stands there
  CHECK_THROWS_WITH_AS(nn::read_state(second, learned), "run/state: at byte 680: expected 1 elements, got 45",
                       std::runtime_error);
}

TEST_CASE("state: every truncation is refused") {
  Learner<models::LeNet<nn::Joint>> learner(init_with(SigmaMode::layer), {.inputs = 6, .hidden = {2}, .outputs = 3});
  const Bytes saved = learner.state();
  for (std::size_t size = 0; size < saved.size(); ++size) {
    Reader reader({saved.data(), size}, "state");
    CHECK_THROWS_AS(nn::read_state(reader, learner.net), std::runtime_error);
  }
  Reader reader({saved.data(), 10}, "state");
  CHECK_THROWS_WITH_AS(nn::read_state(reader, learner.net),
                       "state: at byte 8: expected 4 more bytes, got 2 (the file is truncated)", std::runtime_error);
}

TEST_CASE("weights file: what was written is read, bit for bit") {
  const TemporaryFolder folder;
  const nn::NamedWeights weights = some_weights();
  nn::save_weights(weights, folder / "weights.bin");
  const nn::NamedWeights read = nn::load_weights(folder / "weights.bin");
  REQUIRE(read.size() == weights.size());
  for (const auto& [name, tensor] : weights) {
    REQUIRE(read.contains(name));
    CHECK(same_bits(read.at(name), tensor));
  }
  CHECK(folder.entries() == 1);  // no temporary file is left
  nn::save_weights({}, folder / "empty.bin");
  CHECK(nn::load_weights(folder / "empty.bin").empty());
}

TEST_CASE("weights file: the bytes") {
  const TemporaryFolder folder;
  nn::NamedWeights weights;
  weights.emplace("w", Tensor<float>({1, 2}, {0, 1}));
  nn::save_weights(weights, folder / "weights.bin");
  CHECK(read_file(folder / "weights.bin") == one_tensor(magic, 2, {1, 2}, 2));
}

TEST_CASE("weights file: truncated or altered") {
  const TemporaryFolder folder;
  nn::save_weights(some_weights(), folder / "weights.bin");
  const Bytes bytes = read_file(folder / "weights.bin");
  for (std::size_t size = 0; size < bytes.size(); ++size) {
    const std::string path = folder.write("altered.bin", std::span(bytes).first(size));
    CHECK_THROWS_AS(nn::load_weights(path), std::runtime_error);
  }
  for (std::size_t at = 0; at < bytes.size(); ++at) {
    for (const std::uint8_t change : {0x01, 0x80, 0xFF}) {
      Bytes altered = bytes;
      altered[at] ^= change;
      CHECK_THROWS_AS(nn::load_weights(folder.write("altered.bin", altered)), std::runtime_error);
    }
  }
  Bytes longer = bytes;
  longer.push_back(0);
  const std::string path = folder.write("altered.bin", longer), missing = folder / "missing.bin";
  CHECK_THROWS_WITH_AS(nn::load_weights(path),
                       concat(path, ": at byte ", longer.size(), ": expected the checksum of an unaltered file, got another one").c_str(),
                       std::runtime_error);
  CHECK_THROWS_WITH_AS(nn::load_weights(missing), (missing + ": cannot open for reading: No such file or directory").c_str(),
                       std::runtime_error);
}

TEST_CASE("weights file: hostile, with a valid checksum") {
  const TemporaryFolder folder;
  const auto refused = [&folder](const Bytes& bytes, const std::string& message) {
    const std::string path = folder.write("w.bin", bytes);
    CHECK_THROWS_WITH_AS(nn::load_weights(path), (path + ": at byte " + message).c_str(), std::runtime_error);
  };
  refused(one_tensor(std::string("TOMBWGT\2", 8), 1, {1}, 1),
          "0: expected a file of weights, got another kind of file");
  refused(one_tensor(magic, 7, {1, 1, 1, 1, 1, 1, 1}, 1), "16: expected a shape of at most 6 extents, got 7");
  refused(one_tensor(magic, 1, {3}, 2), "20: expected at most 2, got 1 times 3");
  refused(one_tensor(magic, 2, {0xFFFFFFFF, 0xFFFFFFFF}, 1), "20: expected at most 2, got 1 times 4294967295");
  refused(one_tensor(magic, 2, {2, 1}, 3), "32: expected the end, got 4 more bytes");
  // No elements, whatever the other extents: nothing to allocate.
  CHECK(nn::load_weights(folder.write("w.bin", one_tensor(magic, 3, {0, 0xFFFFFFFF, 0xFFFFFFFF}, 0))).at("w").size() ==
        0);

  Writer twice;
  twice.bytes(std::span(reinterpret_cast<const std::uint8_t*>(magic.data()), magic.size()));
  twice.little(std::uint32_t{2});
  for (int i = 0; i < 2; ++i) {
    twice.string("w");
    twice.little(std::uint8_t{0});
    twice.little(1.0f);
  }
  refused(sealed(twice.take()), "28: expected different names, got w twice");

  Writer many;
  many.bytes(std::span(reinterpret_cast<const std::uint8_t*>(magic.data()), magic.size()));
  many.little(std::uint32_t{0xFFFFFFFF});
  refused(sealed(many.take()), "12: expected 2 more bytes, got 0 (the file is truncated)");
}
