/// \file
/// Weights by their names, in memory and as a file: for other programs, and other models.
#pragma once

#include <algorithm>
#include <cstdint>
#include <limits>
#include <map>
#include <set>
#include <string>
#include <string_view>
#include <utility>

#include "tombola/core/file.hpp"
#include "tombola/core/weight_layout.hpp"
#include "tombola/nn/batch_norm.hpp"
#include "tombola/nn/weight_sources.hpp"

namespace tombola::inline TOMBOLA_ISA::nn {

/// Weights by their names, in torchvision's shapes.
using NamedWeights = std::map<std::string, Tensor<float>>;

/// A weight that lies as a model has it, in torchvision's shape and order.
inline Tensor<float> to_torchvision(View<const float> lies) {
  const WeightLayout layout(lies.shape());
  auto numbered = Tensor<float>::uninitialized(layout.torchvision());
  layout.to_numbers(lies.data(), numbered.data());
  return numbered;
}
/// The inverse, for a weight that a model has as `lies`. Throws `std::invalid_argument` for another shape.
inline Tensor<float> from_torchvision(View<const float> numbered, const Shape& lies) {
  const WeightLayout layout(lies);
  require(numbered.shape() == layout.torchvision(), "from_torchvision: expected ", layout.torchvision(), ", got ", numbered.shape());
  auto values = Tensor<float>::uninitialized(lies);
  layout.from_numbers(numbered.data(), values.data());
  return values;
}

/// The weights of a model in float, frozen and trained ones, whatever its gates are, and its running moments as NAME.running_mean and
/// NAME.running_var. Throws `std::invalid_argument` if two have one name.
template <class Model>
NamedWeights named_weights(Model& model) {
  NamedWeights named;
  const auto add = [&named](const std::string& name, View<const float> values) {
    require(named.emplace(name, to_torchvision(values)).second, "named_weights: expected different names, got ", name, " twice");
  };
  for_each_of<FrozenTensor<float>>(model, [&](FrozenTensor<float>& weight) { add(weight.name(), weight.value()); });
  for_each_of<Parameter<float>>(model, [&](Parameter<float>& weight) { add(weight.name, weight.value); });
  for_each_moment<float>(model, [&](const std::string& name, Tensor<float>& values) { add(name, values); });
  return named;
}

/// The inverse, into a model in float: frozen weights are replaced, and come from no seed any more, so that they make no ticket; trained ones begin
/// anew from these, without momentum. Gates stay; pending gradients are forgotten. Running moments may be left out, and stay then.
/// Throws `std::invalid_argument` unless there is a tensor of the right shape for each weight of the model, which have different names, and none
/// besides, moments being finite and variances at least 0; then nothing has changed.
template <class Model>
void set_weights(Model& model, const NamedWeights& weights) {
  std::set<std::string> known;
  const auto find = [&](const std::string& name, const Shape& lies, const char* what) {
    const Shape shape = WeightLayout(lies).torchvision();
    const auto found = weights.find(name);
    require(found != weights.end(), name, ": expected ", what, shape, ", got none");
    require(found->second.shape() == shape, name, ": expected ", what, shape, ", got ", found->second.shape());
    require(known.insert(name).second, "set_weights: expected different names, got ", name, " twice");
  };
  for_each_of<FrozenTensor<float>>(model, [&](FrozenTensor<float>& weight) { find(weight.name(), weight.shape(), "weights "); });
  for_each_of<Parameter<float>>(model, [&](Parameter<float>& weight) { find(weight.name, weight.shape(), "weights "); });
  for_each_moment<float>(model, [&](const std::string& name, Tensor<float>& values) {
    if (!weights.contains(name)) return;
    find(name, values.shape(), "moments ");
    for (const float value : weights.at(name)) require_moment(name, value);
  });
  for (const auto& each : weights) require(known.contains(each.first), "set_weights: expected the weights of this model alone, got also ", each.first);

  for_each_of<FrozenTensor<float>>(model, [&](FrozenTensor<float>& weight) { weight.load(from_torchvision(weights.at(weight.name()), weight.shape())); });
  for_each_of<Parameter<float>>(model, [&](Parameter<float>& weight) {
    WeightLayout(weight.shape()).from_numbers(weights.at(weight.name).data(), weight.value.data());
    std::fill(weight.momentum.begin(), weight.momentum.end(), 0.0f);
    weight.clear_gradient();
  });
  for_each_moment<float>(model, [&](const std::string& name, Tensor<float>& values) {
    if (const auto found = weights.find(name); found != weights.end()) std::copy(found->second.begin(), found->second.end(), values.begin());
  });
  for (GateParameter<float>* gate : gates(model)) gate->clear_gradient();
}

inline constexpr std::string_view weights_magic = "TOMBWGT\1";

/// Writes named weights, atomically: "TOMBWGT" 1, the number of tensors; for each its name, rank, extents (32 bits) and float32 values
/// row-major; the CRC-64/XZ of all that. Little-endian. Throws `std::runtime_error` if the file cannot be written, `std::invalid_argument` for
/// extents of 2^32 and more and names of more than 65,535 bytes.
inline void save_weights(const NamedWeights& weights, const std::string& path) {
  for (const auto& [name, tensor] : weights) {
    for (const Index extent : tensor.shape()) require(extent < Index{1} << 32, name, ": expected extents below 2^32, got ", tensor.shape());
  }
  AtomicFile file(path);
  Writer writer(file);
  writer.text(weights_magic);
  writer.little(static_cast<std::uint32_t>(weights.size()));
  for (const auto& [name, tensor] : weights) {
    writer.string(name);
    writer.little(static_cast<std::uint8_t>(tensor.shape().rank()));
    for (const Index extent : tensor.shape()) writer.little(static_cast<std::uint32_t>(extent));
    for (const float value : tensor) writer.little(value);
  }
  writer.finish();
}

/// Reads what `save_weights` wrote. Throws `std::runtime_error` for any other file.
inline NamedWeights load_weights(const std::string& path) {
  const Bytes bytes = read_file(path);
  Reader reader = unsealed(bytes, path, weights_magic, "a file of weights");
  NamedWeights weights;
  const auto count = reader.little<std::uint32_t>();
  for (std::uint32_t i = 0; i < count; ++i) {
    const std::string name = reader.string();
    const auto rank = reader.little<std::uint8_t>();
    reader.check(rank <= Shape::max_rank, "a shape of at most 6 extents", static_cast<int>(rank));
    Index extents[Shape::max_rank];
    for (int axis = 0; axis < rank; ++axis) extents[axis] = reader.little<std::uint32_t>();
    const bool empty = std::find(extents, extents + rank, 0) != extents + rank;
    const std::uint64_t most = empty ? static_cast<std::uint64_t>(std::numeric_limits<Index>::max()) / 16 : reader.remaining() / 4;
    std::uint64_t size = 1;
    for (int axis = 0; axis < rank; ++axis) size = reader.product(size, static_cast<std::uint64_t>(extents[axis]), most);
    auto tensor = Tensor<float>::uninitialized(Shape(extents, rank));
    for (float& value : tensor) value = reader.little<float>();
    reader.check(weights.emplace(name, std::move(tensor)).second, "different names", concat(name, " twice"));
  }
  reader.expect_end();
  return weights;
}

}  // namespace tombola::inline TOMBOLA_ISA::nn
