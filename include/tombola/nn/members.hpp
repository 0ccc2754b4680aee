/// \file
/// Walking through the parts of a model: anything with `members()`, which returns a tuple of references, down to the leaves.
#pragma once

#include <optional>
#include <tuple>
#include <variant>
#include <vector>

#include "tombola/autograd/gate_parameter.hpp"
#include "tombola/autograd/parameter.hpp"

namespace tombola::inline TOMBOLA_ISA::nn {

namespace detail {
template <class M>
inline constexpr bool is_list = false;
template <class M>
inline constexpr bool is_list<std::vector<M>> = true;
template <class M>
inline constexpr bool is_optional = false;
template <class M>
inline constexpr bool is_optional<std::optional<M>> = true;
template <class M>
inline constexpr bool is_choice = false;
template <class... M>
inline constexpr bool is_choice<std::variant<M*...>> = true;
}  // namespace detail

/// Calls `f(leaf)` for every part without `members()`, in the order of `members()`; through
/// vectors, optionals and variants of pointers too.
template <class Model, class F>
void for_each_leaf(Model& model, const F& f) {
  if constexpr (detail::is_list<Model>) {
    for (auto& part : model) for_each_leaf(part, f);
  } else if constexpr (detail::is_optional<Model>) {
    if (model) for_each_leaf(*model, f);
  } else if constexpr (detail::is_choice<Model>) {
    std::visit([&f](auto* part) { for_each_leaf(*part, f); }, model);
  } else if constexpr (requires { model.members(); }) {
    const auto parts = model.members();
    [&]<std::size_t... I>(std::index_sequence<I...>) { (for_each_leaf(std::get<I>(parts), f), ...); }
    (std::make_index_sequence<std::tuple_size_v<decltype(model.members())>>{});
  } else {
    f(model);
  }
}

/// Calls `f(leaf)` for every leaf of this type.
template <class Leaf, class Model, class F>
void for_each_of(Model& model, const F& f) {
  for_each_leaf(model, [&f](auto& leaf) {
    if constexpr (std::is_same_v<std::remove_cvref_t<decltype(leaf)>, Leaf>) f(leaf);
  });
}

/// All gates of a model, in the order of its members: what `optim::Adam` takes.
template <class T = float, class Model>
std::vector<GateParameter<T>*> gates(Model& model) {
  std::vector<GateParameter<T>*> found;
  for_each_of<GateParameter<T>>(model, [&found](GateParameter<T>& gate) { found.push_back(&gate); });
  return found;
}

/// All trained weights of a model: what `optim::Sgd` takes.
template <class T = float, class Model>
std::vector<Parameter<T>*> parameters(Model& model) {
  std::vector<Parameter<T>*> found;
  for_each_of<Parameter<T>>(model, [&found](Parameter<T>& parameter) { found.push_back(&parameter); });
  return found;
}

}  // namespace tombola::inline TOMBOLA_ISA::nn
