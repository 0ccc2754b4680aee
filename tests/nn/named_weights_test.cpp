#include "tombola/nn/named_weights.hpp"

#include <doctest/doctest.h>

#include <cmath>
#include <span>
#include <string>
#include <vector>

#include "support/temporary_folder.hpp"
#include "support/tensors.hpp"
#include "tombola/nn/batch_norm.hpp"
#include "tombola/nn/conv2d.hpp"
#include "tombola/nn/linear.hpp"

using namespace tombola;
using namespace test_support;

namespace {

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

/// Each kind of weight, one of them in another order than torchvision's, and a normalisation.
template <template <class> class Source>
struct Model {
  nn::Conv2d<Source> conv;
  nn::BatchNorm<float> bn{"bn1", 4};
  nn::Linear<Source> fc;
  explicit Model(nn::Init init) : conv(init, "conv1", 2, 4, 3), fc(init, "fc", 4, 5) {}
  auto members() { return std::tie(conv, bn, fc); }
};

}  // namespace

TEST_CASE("named weights: names, shapes and order of torchvision") {
  Model<nn::Gated> model({.seed = 3});
  const nn::NamedWeights named = nn::named_weights(model);
  std::vector<std::string> names;
  for (const auto& each : named) names.push_back(each.first);
  CHECK(names == std::vector<std::string>{"bn1.running_mean", "bn1.running_var", "conv1.weight", "fc.weight"});
  REQUIRE(named.at("conv1.weight").shape() == Shape{4, 2, 3, 3});
  const View<const float> lies = model.conv.weight.frozen.value();  // [out, height, width, in]
  for (Index out = 0; out < 4; ++out) {
    for (Index in = 0; in < 2; ++in) {
      for (Index tap = 0; tap < 9; ++tap) CHECK(named.at("conv1.weight")[(out * 2 + in) * 9 + tap] == lies[(out * 9 + tap) * 2 + in]);
    }
  }
  CHECK(same_bits(named.at("fc.weight").view(), model.fc.weight.frozen.value()));
  CHECK(same_bits(named.at("bn1.running_var"), Tensor<float>::filled({4}, 1.0f)));
}

TEST_CASE("named weights: into a model of another seed, frozen or trained") {
  Model<nn::Gated> drawn({.seed = 3}), frozen({.seed = 4});
  Model<nn::Trained> trained({.seed = 4});
  Model<nn::Joint> joint({.seed = 4});
  drawn.bn.moments.mean = random_tensor<float>({4}, 1);
  const nn::NamedWeights named = nn::named_weights(drawn);
  frozen.fc.weight.gate.pending = true;
  frozen.fc.weight.gate.theta[0] = 0.75f;
  nn::set_weights(frozen, named);
  CHECK_FALSE(frozen.fc.weight.gate.pending);
  CHECK(frozen.fc.weight.gate.theta[0] == 0.75f);  // gates stay
  nn::set_weights(joint, named);
  CHECK(same_bits(View<const float>(joint.conv.weight.weight.value), drawn.conv.weight.frozen.value()));
  CHECK(same_bits(frozen.conv.weight.frozen.value(), drawn.conv.weight.frozen.value()));
  CHECK(same_bits(frozen.bn.moments.mean, drawn.bn.moments.mean));
  CHECK_FALSE(frozen.fc.weight.frozen.origin().has_value());
  trained.fc.weight.weight.momentum = Tensor<float>::filled({5, 4}, 1.0f);
  trained.fc.weight.weight.has_gradient = true;
  nn::set_weights(trained, named);
  CHECK(same_bits(View<const float>(trained.conv.weight.weight.value), drawn.conv.weight.frozen.value()));
  CHECK(same_bits(trained.fc.weight.weight.momentum, Tensor<float>({5, 4})));
  CHECK_FALSE(trained.fc.weight.weight.has_gradient);
  nn::NamedWeights without = nn::named_weights(trained);
  without.erase("bn1.running_mean");
  trained.bn.moments.mean = Tensor<float>::filled({4}, 2.0f);
  nn::set_weights(trained, without);
  CHECK(trained.bn.moments.mean[3] == 2);  // what is left out stays
}

TEST_CASE("named weights: what does not fit is refused, and changes nothing") {
  Model<nn::Trained> model({.seed = 3});
  Model<nn::Gated> other({.seed = 4});
  const nn::NamedWeights before = nn::named_weights(model);
  const auto refused = [&](const auto& change, const char* message) {
    nn::NamedWeights weights = nn::named_weights(other);
    change(weights);
    CHECK_THROWS_WITH_AS(nn::set_weights(model, weights), message, std::invalid_argument);
    const nn::NamedWeights after = nn::named_weights(model);
    for (const auto& [name, tensor] : before) CHECK(same_bits(after.at(name), tensor));
  };
  refused([](auto& weights) { weights.erase("fc.weight"); }, "fc.weight: expected weights [5, 4], got none");
  refused([](auto& weights) { weights.at("conv1.weight") = Tensor<float>({4, 3, 3, 2}); }, "conv1.weight: expected weights [4, 2, 3, 3], got [4, 3, 3, 2]");
  refused([](auto& weights) { weights.at("bn1.running_var") = Tensor<float>({5}); }, "bn1.running_var: expected moments [4], got [5]");
  refused([](auto& weights) { weights.at("bn1.running_var")[2] = -1; }, "bn1.running_var: expected finite moments, variances of at least 0, got -1");
  refused([](auto& weights) { weights.at("bn1.running_mean")[3] = INFINITY; }, "bn1.running_mean: expected finite moments, variances of at least 0, got inf");
  refused([](auto& weights) { weights.emplace("fc2.weight", Tensor<float>({2})); }, "set_weights: expected the weights of this model alone, got also fc2.weight");
  nn::Init init{.seed = 3};
  struct Twins {
    nn::Linear<nn::Frozen> first, second;
    auto members() { return std::tie(first, second); }
  };
  Twins twins{{init, "fc", 2, 3}, {init, "fc", 2, 3}};
  CHECK_THROWS_WITH_AS(nn::named_weights(twins), "named_weights: expected different names, got fc.weight twice", std::invalid_argument);
  nn::NamedWeights one;
  one.emplace("fc.weight", Tensor<float>({3, 2}));
  CHECK_THROWS_WITH_AS(nn::set_weights(twins, one), "set_weights: expected different names, got fc.weight twice", std::invalid_argument);
  CHECK_THROWS_WITH_AS(nn::from_torchvision(Tensor<float>({4, 3, 3, 2}), {4, 3, 3, 2}), "from_torchvision: expected [4, 2, 3, 3], got [4, 3, 3, 2]",
                       std::invalid_argument);
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

  nn::NamedWeights hollow, vast;
  hollow.emplace("w", Tensor<float>({100, 0, 7}));
  nn::save_weights(hollow, folder / "hollow.bin");
  CHECK(nn::load_weights(folder / "hollow.bin").at("w").shape() == Shape{100, 0, 7});
  vast.emplace("w", Tensor<float>({Index{1} << 32, 0}));
  CHECK_THROWS_WITH_AS(nn::save_weights(vast, folder / "hollow.bin"), "w: expected extents below 2^32, got [4294967296, 0]", std::invalid_argument);
  CHECK(nn::load_weights(folder / "hollow.bin").size() == 1);  // what was there stays
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
  refused(one_tensor(magic, 2, {0xFFFFFFFF, 0xFFFFFFFF}, 1), "24: expected at most 1, got 1 times 4294967295");
  refused(one_tensor(magic, 3, {0xFFFFFFFF, 0xFFFFFFFF, 0}, 0), "28: expected at most 576460752303423487, got 4294967295 times 4294967295");
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
