/// \file
/// A bias on attention's logits that depends on how far apart two pixels of a window are.
#pragma once

#include "tombola/autograd/pass.hpp"

namespace tombola::inline TOMBOLA_ISA {

/// bias[h, p, q] = table[(i_p - i_q + window - 1) (2 window - 1) + j_p - j_q + window - 1, h] for the pixels p, q at (i, j) of a window.
/// table [(2 window - 1)^2, heads] -> bias [heads, window window, window window]. dtable is the sum over the places of each entry.
/// Throws `std::invalid_argument` if the table is not one of such windows.
/// Source: Liu et al., "Swin transformer", ICCV 2021, equation 4; numbered as torchvision does.
template <class T>
Var<T> relative_position_bias(const Var<T>& table, Index window) {
  constexpr Index most = Index{1} << 30;  // so that nothing overflows
  require(window >= 1 && window <= most && table.shape().rank() == 2 && table.shape()[0] == (2 * window - 1) * (2 * window - 1),
          "relative_position_bias: expected a table [(2 window - 1)^2, heads] for windows of ", window, ", got ", table.shape());
  const Index reach = 2 * window - 1, size = window * window, heads = table.shape()[1];
  Pass<T>& pass = table.pass();
  Var<T> bias = pass.result({heads, size, size}, table.needs_gradient());
  const auto entry = [window, reach](Index p, Index q) {
    return (p / window - q / window + window - 1) * reach + p % window - q % window + window - 1;
  };
  T* to = bias.node()->output();
  for (Index h = 0; h < heads; ++h) {
    for (Index p = 0; p < size; ++p) {
      for (Index q = 0; q < size; ++q) *to++ = table.value()[entry(p, q) * heads + h];
    }
  }
  pass.backward_step(bias, [entry, heads, size, table = table.node(), bias = bias.node()](Pass<T>& pass) {
    const View<T> into = pass.accumulate_from_zero(*table);
    const T* from = bias->gradient.data();
    for (Index h = 0; h < heads; ++h) {
      for (Index p = 0; p < size; ++p) {
        for (Index q = 0; q < size; ++q) into[entry(p, q) * heads + h] += *from++;
      }
    }
  });
  return bias;
}

}  // namespace tombola::inline TOMBOLA_ISA
