/// \file
/// How the weights of a model hang together, and how many of its gates lie on a path from input to output.
#pragma once

#include <map>
#include <string>
#include <utility>
#include <vector>

#include "tombola/gates/effective.hpp"
#include "tombola/gates/mask.hpp"
#include "tombola/nn/weight_sources.hpp"

namespace tombola::inline TOMBOLA_ISA::nn {

/// A weight, or gates on channels, between two groups of channels of a model. A model's `connections()` lists them in the order of
/// computing; group 0 is its input, what leads into one group adds up there.
struct Connection {
  std::string name;  ///< of the weight or the gates; empty: every channel goes on as it is, or enters attention
  Index from, to;
  Index repeat = 1;  ///< inputs of the weight, or channels of a gate, in a row that belong to one channel: pixels that were flattened
  Index taps = 1;    ///< how many times a matrix has all channels side by side in its columns: pixels that were merged
  Index heads = 0;   ///< attention of so many heads: queries, keys and values, side by side, become its outputs
  bool table = false;  ///< rows of the weight are inputs, columns outputs: an embedding
};

/// The connections of a model whose layers follow one another; each call leads from the last group to a new one.
struct ConnectionChain {
  std::vector<Connection> made;
  Index group = 0;

  void add(const std::string& name, Index repeat = 1, Index taps = 1) {
    made.push_back({name, group, group + 1, repeat, taps});
    ++group;
  }
  void add_table(const std::string& name) {
    made.push_back({name, group, group + 1, 1, 1, 0, true});
    ++group;
  }
  void add_attention(Index heads) {
    made.push_back({"", group, group + 1, 1, 1, heads});
    ++group;
  }
  /// A part with `connect(chain)`, and a skip connection beside it.
  template <class Part>
  void add_residual(const Part& part) {
    const Index from = group;
    part.connect(*this);
    add_beside(from);
  }
  /// Beside what was added since group `from`; without a name, a skip connection.
  void add_beside(Index from, const std::string& name = "") { made.push_back({name, from, group}); }
};

namespace detail {

/// Which queries, keys and values [3 width] reach which outputs [width] of attention: a value its own column, a query or key all of its head.
inline Bits attention_pattern(Index width, Index heads) {
  Bits open(3 * width * width);
  const Index size = width / heads;
  for (Index o = 0; o < width; ++o) {
    for (Index i = 0; i < 3 * width; ++i) {
      if (i >= 2 * width ? i - 2 * width == o : i % width / size == o / size) open.set(o * 3 * width + i, true);
    }
  }
  return open;
}

/// A mask [rows, columns] as [columns, rows].
inline Bits transposed(const Bits& mask, Index rows, Index columns) {
  Bits turned(mask.size());
  for (Index r = 0; r < rows; ++r) {
    for (Index c = 0; c < columns; ++c) turned.set(c * rows + r, mask[r * columns + c]);
  }
  return turned;
}

}  // namespace detail

/// How many open gates of a model, under the reading `binary`, lie on a path of open ones from its input to its output.
/// Throws `std::invalid_argument` if its `connections()` name something that it does not have, or twice, or do not fit.
template <class T = float, class Model>
Index effective_kept(Model& model) {
  struct Element {
    Shape shape;
    Bits open;
    bool gated, connected = false;
  };
  std::map<std::string, Element> elements;
  const auto add_weight = [&](const std::string& name, const Shape& shape) {
    elements.emplace(name, Element{shape, Bits::all(shape.size()), false});
  };
  for_each_of<GateParameter<T>>(model, [&](GateParameter<T>& gate) { elements.emplace(gate.name, Element{gate.shape(), gates::mask(gate), true}); });
  for_each_of<FrozenTensor<T>>(model, [&](FrozenTensor<T>& weight) { add_weight(weight.name(), weight.shape()); });
  for_each_of<Parameter<T>>(model, [&](Parameter<T>& weight) { add_weight(weight.name, weight.shape()); });

  std::vector<gates::MaskedConnection> masked;
  std::vector<bool> counts;
  std::map<Index, Index> channels;  // of each group
  for (const Connection& connection : model.connections()) {
    gates::MaskedConnection& made = masked.emplace_back();
    made.from = connection.from;
    made.to = connection.to;
    made.repeat = connection.repeat;
    counts.push_back(false);
    if (connection.heads > 0) {
      made.in = channels[connection.from];
      made.out = made.in / 3;
      require(made.in > 0 && made.in % (3 * connection.heads) == 0, "effective_kept: expected queries, keys and values of ", connection.heads,
              " heads, got ", made.in, " channels");
      made.open = detail::attention_pattern(made.out, connection.heads);
    } else if (connection.name.empty()) {
      made.diagonal = true;
      made.out = made.in = channels[connection.from];
      made.open = Bits::all(made.out);
    } else {
      const auto found = elements.find(connection.name);
      require(found != elements.end(), "effective_kept: expected a model with ", connection.name, ", got none");
      Element& element = found->second;
      require(!std::exchange(element.connected, true), "effective_kept: expected each weight and group of gates once, got ", connection.name, " twice");
      require(connection.taps >= 1 && connection.repeat >= 1, "effective_kept: expected taps and a repeat of at least 1 for ", connection.name, ", got ",
              connection.taps, " and ", connection.repeat);
      made.diagonal = element.shape.rank() == 1;
      made.out = element.shape[0];
      made.taps = element.shape.rank() == 4 ? element.shape[1] * element.shape[2] : connection.taps;
      made.in = element.shape.last() / connection.taps;
      if (made.diagonal) made.out = made.in *= connection.repeat;
      made.open = element.open;
      if (connection.table) {
        std::swap(made.in, made.out);
        made.open = detail::transposed(element.open, made.in, made.out);
      }
      counts.back() = element.gated;
    }
    channels[connection.to] = made.out;
  }
  const std::vector<Index> effective = gates::effective_counts(masked);
  Index kept = 0;
  for (std::size_t c = 0; c < effective.size(); ++c) kept += counts[c] ? effective[c] : 0;
  return kept;
}

}  // namespace tombola::inline TOMBOLA_ISA::nn
