/// \file
/// What a model consists of, as a table for people.
#pragma once

#include <iomanip>
#include <sstream>
#include <string>

#include "tombola/nn/weight_sources.hpp"

namespace tombola::inline TOMBOLA_ISA::nn {

/// One line for each weight tensor and each group of gates: name, kind, shape, number; then the totals of frozen weights, trained
/// weights and gates.
template <class T = float, class Model>
std::string summary(Model& model) {
  std::ostringstream table;
  Index frozen = 0, trained = 0, gates = 0;
  const auto line = [&table](const std::string& name, const char* kind, const Shape& shape, Index& total) {
    table << std::left << std::setw(20) << name << std::setw(10) << kind << std::setw(16) << to_string(shape)
          << std::right << std::setw(12) << shape.size() << '\n';
    total += shape.size();
  };
  for_each_leaf(model, [&](auto& leaf) {
    using Leaf = std::remove_cvref_t<decltype(leaf)>;
    if constexpr (std::is_same_v<Leaf, FrozenTensor<T>>) {
      line(leaf.name(), "frozen", leaf.shape(), frozen);
    } else if constexpr (std::is_same_v<Leaf, GateParameter<T>>) {
      line(leaf.name, "gates", leaf.shape(), gates);
    } else if constexpr (std::is_same_v<Leaf, Parameter<T>>) {
      line(leaf.name, "trained", leaf.shape(), trained);
    }
  });
  table << "frozen weights " << frozen << ", trained weights " << trained << ", gates " << gates << '\n';
  return table.str();
}

}  // namespace tombola::inline TOMBOLA_ISA::nn
