/// \file
/// MultiHeadAttention: self-attention over any weight source, with structured gates on its heads where asked for.
#pragma once

#include <cmath>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

#include "tombola/nn/connections.hpp"
#include "tombola/nn/linear.hpp"
#include "tombola/nn/unit_gates.hpp"
#include "tombola/ops/attention.hpp"

namespace tombola::inline TOMBOLA_ISA::nn {

/// `heads` heads over `columns`, whose logits are `factor` times q k^T / sqrt(size of a head). Throws `std::invalid_argument` unless it is finite and above 0.
inline AttentionOptions scaled_attention(Index columns, Index heads, double factor, bool causal = false) {
  require(factor > 0 && std::isfinite(factor), "attention: expected a finite factor of the logits above 0, got ", factor);
  return {.heads = heads, .scale = factor / std::sqrt(static_cast<double>(columns) / static_cast<double>(heads)), .causal = causal};
}

/// What the parts of a MultiHeadAttention are called: frameworks differ. With a layer's name before them.
struct AttentionNames {
  const char* in = ".in_proj_weight";  ///< torchvision's ViT; Swin: ".attn.qkv.weight"
  const char* out = ".out_proj";       ///< Swin: ".attn.proj"
};

/// y = out(attention(q, k, v)) with (q, k, v) = s x w^T for a weight w [3 width, width]; `heads` heads of width / heads columns each. No biases.
template <template <class> class Source, class T = float>
struct MultiHeadAttention {
  std::string name, in_name;
  Index width;
  AttentionOptions options;
  Source<T> in;
  Linear<Source, T> out;
  std::vector<UnitGates<T>> head_gates;  ///< one group, or none

  /// The output's weights are drawn `gain` times as large as by default. Throws `std::invalid_argument` unless the heads divide the width.
  MultiHeadAttention(Init& init, std::string layer, Index its_width, const AttentionOptions& how, const AttentionNames& names = {}, double gain = 1)
      : name(std::move(layer)),
        in_name(name + names.in),
        width(checked(name, its_width, how.heads)),
        options(how),
        in(init, in_name, Shape{3 * width, width}, Fans{width, 3 * width}),
        out(init, name + names.out, width, width, gain) {}

  /// Adds structured gates on the heads.
  void add_units(Init& init) { head_gates.emplace_back(init, name + ".heads", options.heads, 1, width / options.heads); }

  /// x [sequences, length, width] -> y of the same shape; bias and mask as `attention` has them. Throws `std::invalid_argument` for another x.
  Var<T> operator()(const Var<T>& x, const Var<T>& bias = {}, View<const T> mask = {}) {
    Var<T> y = self_attention(in_of(x), options, bias, mask);  // a statement of its own: what it read may go before `out` is computed
    return out_of_heads(std::move(y));
  }
  Var<T> operator()(const Var<T>& x, const Var<T>& bias, const Tensor<T>&& mask) = delete;  // it would be gone
  /// The first token's y alone, [sequences, 1, width]: the others ask nothing. Throws also for causal attention.
  Var<T> first_token(const Var<T>& x) {
    Var<T> y = first_token_attention(in_of(x), options);
    return out_of_heads(std::move(y));
  }
  auto members() { return std::tie(in, out, head_gates); }
  void connect(ConnectionChain& chain) const {
    chain.add(in_name);
    chain.add_attention(options.heads);
    if (!head_gates.empty()) chain.add(head_gates[0].name, head_gates[0].size);
    chain.add(out.name + ".weight");
  }

 private:
  Var<T> in_of(const Var<T>& x) {
    require(x.shape().rank() == 3 && x.shape()[2] == width, name, ": expected x [sequences, length, ", width, "], got ", x.shape());
    return rescaled_linear(x, in(x.pass()));
  }
  Var<T> out_of_heads(Var<T> y) {
    if (!head_gates.empty()) y = head_gates[0](y);
    if (y.pass().options().checks_finite) check_finite(name, y);
    return out(y);
  }
  static Index checked(const std::string& name, Index width, Index heads) {
    require(width >= 1 && heads >= 1 && width % heads == 0, name, ": expected heads that divide the width, got ", heads, " heads and ", width);
    return Shape{3, width, width}[1];  // refuses what is too large to be addressed
  }
};

}  // namespace tombola::inline TOMBOLA_ISA::nn
