/// \file
/// Walking through the parts of a model: anything with `members()`, which returns a tuple of references, down to the leaves.
#pragma once

#include <array>
#include <cstddef>
#include <memory>
#include <optional>
#include <tuple>
#include <type_traits>
#include <utility>
#include <variant>
#include <vector>

#include "tombola/autograd/gate_parameter.hpp"
#include "tombola/autograd/parameter.hpp"

namespace tombola::inline TOMBOLA_ISA {

template <class T>
struct RunningMoments;

}  // namespace tombola::inline TOMBOLA_ISA

namespace tombola::inline TOMBOLA_ISA::nn {

template <class T>
class FrozenTensor;

namespace detail {
/// Whether a part of this type is a leaf: what learning, checkpoints and tickets know of, and all other parts are made of.
template <class Part>
inline constexpr bool is_leaf = false;
template <class T>
inline constexpr bool is_leaf<GateParameter<T>> = true;
template <class T>
inline constexpr bool is_leaf<Parameter<T>> = true;
template <class T>
inline constexpr bool is_leaf<FrozenTensor<T>> = true;
template <class T>
inline constexpr bool is_leaf<RunningMoments<T>> = true;

template <class M>
inline constexpr bool is_list = false;
template <class M>
inline constexpr bool is_list<std::vector<M>> = true;
template <class M, std::size_t count>
inline constexpr bool is_list<std::array<M, count>> = true;
template <class M, std::size_t count>
inline constexpr bool is_list<M[count]> = true;
template <class M>
inline constexpr bool is_optional = false;
template <class M>
inline constexpr bool is_optional<std::optional<M>> = true;
template <class M>
inline constexpr bool is_optional<std::unique_ptr<M>> = !std::is_array_v<M>;
template <class M>
inline constexpr bool is_choice = false;
template <class... M>
inline constexpr bool is_choice<std::variant<M*...>> = true;

/// Whether two leaves hold numbers of one type.
template <class A, class B>
inline constexpr bool same_numbers = true;
template <template <class> class A, template <class> class B, class T, class U>
inline constexpr bool same_numbers<A<T>, B<U>> = std::is_same_v<T, U>;
}  // namespace detail

/// Calls `f(leaf)` for every leaf, in the order of `members()`; through vectors, arrays, optionals, unique pointers and variants of pointers too. A
/// part that `members()` does not name is not there for whoever asks: neither learned nor saved. Does not compile for a part that is neither a leaf
/// nor has members, or is const.
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
    static_assert(!std::is_const_v<Model>, "this model, or a part of it, is const: what walks through it may change it");
    static_assert(detail::is_leaf<std::remove_const_t<Model>>, "a part of this model holds nothing to learn or save: give it members(), or do not name it");
    f(model);
  }
}

/// Calls `f(leaf)` for every leaf of this type. Does not compile for a model with numbers of another type, of which it would find none.
template <class Leaf, class Model, class F>
void for_each_of(Model& model, const F& f) {
  for_each_leaf(model, [&f](auto& leaf) {
    using Found = std::remove_cvref_t<decltype(leaf)>;
    static_assert(detail::same_numbers<Leaf, Found>, "this model has numbers of another type: name it, as in nn::gates<double>(model)");
    if constexpr (std::is_same_v<Found, Leaf>) f(leaf);
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
