/// \file
/// Everything that learning changes in a model, to and from bytes: for checkpoints.
#pragma once

#include <string>
#include <type_traits>

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

/// The number of elements, which is the tensor's.
template <class T>
void read_size(Reader& reader, const Tensor<T>& tensor, const std::string& name, const char* part) {
  const auto size = reader.little<std::uint64_t>();
  reader.check(size == static_cast<std::uint64_t>(tensor.size()), concat(tensor.size(), " elements of ", name, " (", part, ')'), size);
}

/// Calls `f(tensor, name, part)` for every tensor that a checkpoint holds of a leaf.
template <class T, class F>
void for_each_state_tensor(GateParameter<T>& gate, const F& f) {
  f(gate.theta, gate.name, "theta");
  f(gate.m, gate.name, "theta's first moment");
  f(gate.v, gate.name, "theta's second moment");
  if (gate.sigma_mode == SigmaMode::fixed) return;
  f(gate.learned_sigma.log_sigma, gate.name, "log sigma");
  f(gate.learned_sigma.m, gate.name, "log sigma's first moment");
  f(gate.learned_sigma.v, gate.name, "log sigma's second moment");
}
template <class T, class F>
void for_each_state_tensor(Parameter<T>& parameter, const F& f) {
  if (parameter.momentum.size() != parameter.value.size()) parameter.momentum = Tensor<T>(parameter.shape());
  f(parameter.value, parameter.name, "values");
  f(parameter.momentum, parameter.name, "momentum");
}

template <class T, class F>
void for_each_state_tensor(RunningMoments<T>& moments, const F& f) {
  f(moments.mean, moments.name, "mean");
  f(moments.variance, moments.name, "variance");
}

template <class T, class Model, class F>
void for_each_state_tensor_of(Model& model, const F& f) {
  for_each_leaf(model, [&f](auto& leaf) {
    using Leaf = std::remove_cvref_t<decltype(leaf)>;
    static_assert(same_numbers<GateParameter<T>, Leaf>, "this model has numbers of another type: name it, as in write_state<double> and read_state<double>");
    if constexpr (std::is_same_v<Leaf, GateParameter<T>> || std::is_same_v<Leaf, Parameter<T>> || std::is_same_v<Leaf, RunningMoments<T>>) {
      for_each_state_tensor(leaf, f);
    }
  });
}

}  // namespace detail

/// Appends what learning has changed: gates and trained weights with their moments, and running moments of normalisation. Pending
/// gradients are not part of it, nor is how far `Normalisation::collect` has come, nor what a schedule sets (sigma where it is not learned,
/// sharpness, lambda). That, the number of the next step, `Adam::steps` and a controller's state are the caller's to keep. Does not compile for
/// a model with numbers of another type than T, whose state would be left out.
template <class T = float, class Model>
void write_state(Writer& writer, Model& model) {
  detail::for_each_state_tensor_of<T>(model, [&writer](Tensor<T>& tensor, const std::string&, const char*) { detail::write_tensor(writer, tensor); });
}

/// The inverse, into a model built in the same way, from the same seed (frozen weights are not part of a state, and not compared); pending gradients
/// are forgotten. Throws `std::runtime_error` if the sizes differ or bytes are missing; then nothing has changed.
template <class T = float, class Model>
void read_state(Reader& reader, Model& model) {
  Reader ahead = reader;  // all of it, before anything changes
  detail::for_each_state_tensor_of<T>(model, [&ahead](const Tensor<T>& tensor, const std::string& name, const char* part) {
    detail::read_size(ahead, tensor, name, part);
    ahead.bytes(static_cast<std::uint64_t>(tensor.size()) * sizeof(T));
  });
  detail::for_each_state_tensor_of<T>(model, [&reader](Tensor<T>& tensor, const std::string& name, const char* part) {
    detail::read_size(reader, tensor, name, part);
    for (T& value : tensor) value = reader.little<T>();
  });
  for (GateParameter<T>* gate : gates<T>(model)) {
    gate->clear_gradient();
    if (gate->sigma_mode != SigmaMode::fixed) gate->update_sigma();
  }
  for (Parameter<T>* parameter : parameters<T>(model)) parameter->clear_gradient();
}

}  // namespace tombola::inline TOMBOLA_ISA::nn
