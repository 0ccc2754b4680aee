/// \file
/// What a model consists of, as a table for people.
#pragma once

#include <algorithm>
#include <string>

#include "tombola/nn/weight_sources.hpp"

namespace tombola::inline TOMBOLA_ISA::nn {

namespace detail {

/// The blanks that a text lacks of `width` columns.
inline std::string blanks(const std::string& text, std::size_t width) { return std::string(width - std::min(width, text.size()), ' '); }

}  // namespace detail

/// One line for each weight tensor and each group of gates: name, kind, shape, number; then the totals of frozen weights, trained
/// weights and gates.
template <class T = float, class Model>
std::string summary(Model& model) {
  std::string table;
  Index frozen = 0, trained = 0, gates = 0;
  const auto line = [&table](const std::string& name, const std::string& kind, const Shape& shape, Index& total) {
    using detail::blanks;
    const std::string extents = to_string(shape), size = std::to_string(shape.size());
    table += name + blanks(name, 20) + kind + blanks(kind, 10) + extents + blanks(extents, 16) + blanks(size, 12) + size + '\n';
    total += shape.size();
  };
  for_each_leaf(model, [&](auto& leaf) {
    using Leaf = std::remove_cvref_t<decltype(leaf)>;
    static_assert(detail::same_numbers<GateParameter<T>, Leaf>, "this model has numbers of another type: name it, as in summary<double>(model)");
    if constexpr (std::is_same_v<Leaf, FrozenTensor<T>>) {
      line(leaf.name(), "frozen", leaf.shape(), frozen);
    } else if constexpr (std::is_same_v<Leaf, GateParameter<T>>) {
      line(leaf.name, "gates", leaf.shape(), gates);
    } else if constexpr (std::is_same_v<Leaf, Parameter<T>>) {
      line(leaf.name, "trained", leaf.shape(), trained);
    }
  });
  return table + concat("frozen weights ", frozen, ", trained weights ", trained, ", gates ", gates, '\n');
}

}  // namespace tombola::inline TOMBOLA_ISA::nn
