/// \file
/// Where a layer's weight comes from: Frozen (drawn from the seed), Gated (frozen under learned gates), Trained, Joint (trained
/// under learned gates). A layer is written once, over any of them.
#pragma once

#include <string>
#include <tuple>
#include <utility>

#include "tombola/core/weight_layout.hpp"
#include "tombola/nn/init.hpp"
#include "tombola/nn/members.hpp"
#include "tombola/ops/arithmetic.hpp"
#include "tombola/ops/scale.hpp"

namespace tombola::inline TOMBOLA_ISA::nn {

namespace detail {

/// The weights that the seed draws, where they lie.
template <class T>
Tensor<T> drawn(const FrozenWeights& origin, const Shape& shape) {
  auto numbered = Tensor<T>::uninitialized(shape);
  draw(origin, 0, numbered.view());
  const WeightLayout layout(shape);
  if (layout.is_plain()) return numbered;
  auto value = Tensor<T>::uninitialized(shape);
  layout.from_numbers(numbered.data(), value.data());
  return value;
}

}  // namespace detail

/// A weight tensor that nothing changes: no code path writes it after it is drawn or loaded. It lies as WeightLayout says.
template <class T>
class FrozenTensor {
 public:
  FrozenTensor(const FrozenWeights& origin, std::string name, const Shape& shape)
      : name_(std::move(name)),
        origin_(origin),
        value_(detail::drawn<T>(origin, shape)) {}
  FrozenTensor(FrozenTensor&&) noexcept = default;

  const std::string& name() const noexcept { return name_; }
  const Shape& shape() const noexcept { return value_.shape(); }
  View<const T> value() const noexcept { return value_.view(); }
  /// How the seed draws it; nothing for weights that were loaded (`frozen-trained`): those make no ticket.
  const std::optional<FrozenWeights>& origin() const noexcept { return origin_; }
  /// Of the weights in the order of their numbers.
  std::uint64_t hash() const {
    const WeightLayout layout(shape());
    if (layout.is_plain()) return hash_weights(value());
    auto numbered = Tensor<T>::uninitialized(shape());
    layout.to_numbers(value_.data(), numbered.data());
    return hash_weights(View<const T>(numbered));
  }

  /// Replaces the drawn weights by others, in place. Throws `std::invalid_argument` if the shape differs.
  void load(View<const T> values) {
    require(values.shape() == shape(), name_, ": expected weights ", shape(), ", got ", values.shape());
    std::copy_n(values.data(), values.size(), value_.data());
    origin_.reset();
  }

 private:
  std::string name_;
  std::optional<FrozenWeights> origin_;
  Tensor<T> value_;
};

/// The weight as the seed drew it.
template <class T>
struct Frozen {
  FrozenTensor<T> frozen;

  Frozen(Init& init, const std::string& name, const Shape& shape, const Fans& fans)
      : frozen(init.draw(shape, fans), name, shape) {}
  GatedWeight<T> operator()(Pass<T>& pass) { return {pass.input(frozen.value()), {}}; }
  auto members() { return std::tie(frozen); }
};

/// The weight as the seed drew it, times a learned gate on each element. This is what a ticket is found in.
template <class T>
struct Gated {
  FrozenTensor<T> frozen;
  GateParameter<T> gate;
  Rescale rescale;

  Gated(Init& init, const std::string& name, const Shape& shape, const Fans& fans)
      : frozen(init.draw(shape, fans), name, shape),
        gate(gates::make_gates<T>(init.gates, name, init.seed, frozen.origin()->id, shape, frozen.value())),
        rescale(init.rescale) {}
  GatedWeight<T> operator()(Pass<T>& pass) { return gated_weight(pass, gate, rescale); }
  auto members() { return std::tie(frozen, gate); }
};

/// A weight that is trained, beginning as the seed drew it: the dense twin.
template <class T>
struct Trained {
  Parameter<T> weight;

  Trained(Init& init, const std::string& name, const Shape& shape, const Fans& fans)
      : weight(detail::drawn<T>(init.draw(shape, fans), shape), name) {}
  GatedWeight<T> operator()(Pass<T>& pass) { return {parameter_value(pass, weight), {}}; }
  auto members() { return std::tie(weight); }
};

/// A trained weight under learned gates.
template <class T>
struct Joint {
  Parameter<T> weight;
  GateParameter<T> gate;
  Rescale rescale;

  Joint(Init& init, const std::string& name, const Shape& shape, const Fans& fans)
      : weight(detail::drawn<T>(init.draw(shape, fans), shape), name),
        gate(gates::make_gates<T>(init.gates, name, init.seed, init.next - 1, shape)),
        rescale(init.rescale) {}
  GatedWeight<T> operator()(Pass<T>& pass) {
    auto [z, scale] = gated_weight(pass, gate, rescale);
    return {z * parameter_value(pass, weight), std::move(scale)};
  }
  auto members() { return std::tie(weight, gate); }
};

/// y = s op(w) with what a source gives, for `op`: weight -> y that is linear in the weight. One factor for all multiplies the weights instead
/// of the outputs where `many_outputs` says that it is cheaper. Throws what `op` throws.
template <class T, class Op>
Var<T> rescaled(const GatedWeight<T>& source, bool many_outputs, const Op& op) {
  const auto& [w, s] = source;
  const bool on_weights = s && s.shape().size() == 1 && many_outputs;
  const Var<T> y = op(on_weights ? scale(w, s) : w);
  return s && !on_weights ? scale(y, s) : y;
}

}  // namespace tombola::inline TOMBOLA_ISA::nn
