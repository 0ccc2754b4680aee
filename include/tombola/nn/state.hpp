/// \file
/// Everything that learning changes in a model, to and from bytes: for checkpoints; and plain weights, for other programs.
#pragma once

#include <map>
#include <string>
#include <utility>

#include "tombola/core/file.hpp"
#include "tombola/nn/weight_sources.hpp"
#include "tombola/ops/batch_norm.hpp"

namespace tombola::inline TOMBOLA_ISA::nn {

namespace detail {

template <class T>
void write_tensor(Writer& writer, const Tensor<T>& tensor) {
  writer.little(static_cast<std::uint64_t>(tensor.size()));
  for (const T value : tensor) writer.little(value);
}

/// Reads into a tensor of the size that the model has.
template <class T>
void read_tensor(Reader& reader, Tensor<T>& tensor) {
  const auto size = reader.little<std::uint64_t>();
  reader.check(size == static_cast<std::uint64_t>(tensor.size()), concat(tensor.size(), " elements"), size);
  for (T& value : tensor) value = reader.little<T>();
}

/// Calls `f(tensor)` for every tensor that a checkpoint holds of a leaf.
template <class T, class F>
void for_each_state_tensor(GateParameter<T>& gate, const F& f) {
  f(gate.theta);
  f(gate.m);
  f(gate.v);
  if (gate.sigma_mode == SigmaMode::fixed) return;
  f(gate.learned_sigma.log_sigma);
  f(gate.learned_sigma.m);
  f(gate.learned_sigma.v);
}
template <class T, class F>
void for_each_state_tensor(Parameter<T>& parameter, const F& f) {
  if (parameter.momentum.size() != parameter.value.size()) parameter.momentum = Tensor<T>(parameter.shape());
  f(parameter.value);
  f(parameter.momentum);
}

template <class T, class F>
void for_each_state_tensor(RunningMoments<T>& moments, const F& f) {
  f(moments.mean);
  f(moments.variance);
}

template <class Leaf, class Found>
inline constexpr bool is_of_another_number = false;
template <template <class> class Leaf, class T, class U>
inline constexpr bool is_of_another_number<Leaf<T>, Leaf<U>> = !std::is_same_v<T, U>;

template <class T, class Model, class F>
void for_each_state_tensor_of(Model& model, const F& f) {
  for_each_leaf(model, [&f](auto& leaf) {
    using Leaf = std::remove_cvref_t<decltype(leaf)>;
    static_assert(!is_of_another_number<GateParameter<T>, Leaf> && !is_of_another_number<Parameter<T>, Leaf> &&
                      !is_of_another_number<RunningMoments<T>, Leaf>,
                  "this model has numbers of another type: name it, as in write_state<double>(writer, model)");
    if constexpr (std::is_same_v<Leaf, GateParameter<T>> || std::is_same_v<Leaf, Parameter<T>> || std::is_same_v<Leaf, RunningMoments<T>>) {
      for_each_state_tensor(leaf, f);
    }
  });
}

}  // namespace detail

/// Appends what learning has changed: gates and trained weights with their moments, and running moments of normalisation. Pending
/// gradients are not part of it. Does not compile for a model with numbers of another type than T, whose state would be left out.
template <class T = float, class Model>
void write_state(Writer& writer, Model& model) {
  detail::for_each_state_tensor_of<T>(model, [&writer](Tensor<T>& tensor) { detail::write_tensor(writer, tensor); });
}

/// The inverse, into a model built in the same way; pending gradients are forgotten. Throws `std::runtime_error` if the sizes differ or bytes are missing.
template <class T = float, class Model>
void read_state(Reader& reader, Model& model) {
  detail::for_each_state_tensor_of<T>(model, [&reader](Tensor<T>& tensor) { detail::read_tensor(reader, tensor); });
  for (GateParameter<T>* gate : gates<T>(model)) {
    gate->clear_gradient();
    if (gate->sigma_mode != SigmaMode::fixed) gate->update_sigma();
  }
  for (Parameter<T>* parameter : parameters<T>(model)) parameter->clear_gradient();
}

inline constexpr std::string_view weights_magic = "TOMBWGT\1";

/// Named weights: what modes other than `frozen-random` leave behind.
using NamedWeights = std::map<std::string, Tensor<float>>;

/// Writes named weights, atomically: "TOMBWGT" 1, the number of tensors; for each its name, rank, extents (32 bits) and float32 values
/// row-major; the CRC-64/XZ of all that. Little-endian. Throws `std::runtime_error` if the file cannot be written.
inline void save_weights(const NamedWeights& weights, const std::string& path) {
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
    std::uint64_t size = 1;
    for (int axis = 0; axis < rank; ++axis) {
      extents[axis] = reader.little<std::uint32_t>();
      size = reader.product(size, static_cast<std::uint64_t>(extents[axis]), reader.remaining() / 4);
    }
    auto tensor = Tensor<float>::uninitialized(Shape(extents, rank));
    for (float& value : tensor) value = reader.little<float>();
    reader.check(weights.emplace(name, std::move(tensor)).second, "different names", concat(name, " twice"));
  }
  reader.expect_end();
  return weights;
}

}  // namespace tombola::inline TOMBOLA_ISA::nn
