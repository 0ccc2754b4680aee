/// \file
/// AnyModel: a model whose type is chosen at run time.
#pragma once

#include <memory>
#include <tuple>
#include <type_traits>
#include <utility>
#include <variant>
#include <vector>

#include "tombola/nn/connections.hpp"
#include "tombola/ops/batch_norm.hpp"

namespace tombola::inline TOMBOLA_ISA::nn {

/// Holds a model of any type that has `operator()`, `members()` and `connections()`, and serves wherever a model does: what is written
/// over an AnyModel is compiled once, not for each network and weight source.
///
///     AnyModel<> model(deep ? AnyModel<>(models::ResNet<Gated>(init, resnet50())) : AnyModel<>(models::LeNet<Gated>(init, {})));
template <class T = float>
class AnyModel {
 public:
  /// Takes the model over.
  template <class Model>
    requires(!std::is_same_v<Model, AnyModel>)
  explicit AnyModel(Model model) {
    auto held = std::make_unique<Held<Model>>(std::move(model));
    for_each_leaf(held->model, [this](auto& leaf) { leaves_.push_back(&leaf); });
    held_ = std::move(held);
  }

  Var<T> operator()(const Var<T>& x) { return (*held_)(x); }
  auto members() { return std::tie(leaves_); }
  std::vector<Connection> connections() const { return held_->connections(); }

 private:
  struct Interface {
    virtual ~Interface() = default;
    virtual Var<T> operator()(const Var<T>& x) = 0;
    virtual std::vector<Connection> connections() const = 0;
  };
  template <class Model>
  struct Held final : Interface {
    Model model;
    explicit Held(Model&& taken) : model(std::move(taken)) {}
    Var<T> operator()(const Var<T>& x) override { return model(x); }
    std::vector<Connection> connections() const override { return model.connections(); }
  };

  std::unique_ptr<Interface> held_;
  std::vector<std::variant<GateParameter<T>*, FrozenTensor<T>*, Parameter<T>*, RunningMoments<T>*>> leaves_;  // they lie in *held_
};

}  // namespace tombola::inline TOMBOLA_ISA::nn
