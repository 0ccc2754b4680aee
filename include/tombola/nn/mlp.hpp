/// \file
/// Mlp: two fully connected layers with GELU between them, as transformers have them.
#pragma once

#include <string>
#include <tuple>
#include <vector>

#include "tombola/nn/connections.hpp"
#include "tombola/nn/linear.hpp"
#include "tombola/nn/unit_gates.hpp"
#include "tombola/ops/gelu.hpp"

namespace tombola::inline TOMBOLA_ISA::nn {

/// What the layers of an Mlp are called, behind its own name.
struct MlpNames {
  const char* first = ".0";   ///< torchvision, whose dropout has the other numbers; GPT-2: ".c_fc"
  const char* second = ".3";  ///< GPT-2: ".c_proj"
};

/// y = second(gelu(first(x))). No biases.
template <template <class> class Source, class T = float>
struct Mlp {
  Linear<Source, T> first, second;
  std::vector<UnitGates<T>> units;  ///< on the hidden neurons: one group, or none

  /// The second layer's weights are drawn `gain` times as large as by default.
  Mlp(Init& init, const std::string& layer, Index width, Index hidden, const MlpNames& names = {}, double gain = 1)
      : first(init, layer + names.first, width, hidden),
        second(init, layer + names.second, hidden, width, gain) {}

  /// Adds structured gates on the hidden neurons.
  void add_units(Init& init) { units.emplace_back(init, first.name + ".units", first.out); }

  /// x [..., width] -> y of the same shape. Throws `std::invalid_argument` for another x.
  Var<T> operator()(const Var<T>& x) {
    Var<T> h = gelu(first(x));
    if (!units.empty()) h = units[0](h);
    return second(h);
  }
  auto members() { return std::tie(first, second, units); }
  void connect(ConnectionChain& chain) const {
    chain.add(first.name + ".weight");
    if (!units.empty()) chain.add(units[0].name);
    chain.add(second.name + ".weight");
  }
};

}  // namespace tombola::inline TOMBOLA_ISA::nn
