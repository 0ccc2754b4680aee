/// \file
/// Sequences of tokens: one put in front, one taken out, each looked up in a table.
#pragma once

#include <algorithm>
#include <cstdint>

#include "tombola/core/parallel.hpp"
#include "tombola/ops/move_rows.hpp"

namespace tombola::inline TOMBOLA_ISA {

namespace detail {

/// The first rows of sequences of `length` rows.
struct FirstTokenPlaces {
  Index length, width;
  Index columns() const noexcept { return width; }
  Index source(Index r) const noexcept { return r * length; }
  Index target(Index row) const noexcept { return row % length == 0 ? row / length : -1; }
};

}  // namespace detail

/// y[n, 0] = token, y[n, 1 + t] = x[n, t].  x [sequences, length, columns], token [columns] or of that size.
/// dx[n, t] += dy[n, 1 + t],  dtoken += sum_n dy[n, 0]. Throws `std::invalid_argument` if shapes do not fit, or for values of two passes.
template <class T>
Var<T> prepend_token(const Var<T>& x, const Var<T>& token) {
  require_one_pass("prepend_token", x, token);
  const Shape& s = x.shape();
  require(s.rank() == 3 && token.shape().size() == s[2], "prepend_token: expected x [sequences, length, columns] and a token of as many columns, got ",
          s, " and ", token.shape());
  const Index sequences = s[0], length = s[1], columns = s[2], row = (length + 1) * columns;
  Pass<T>& pass = x.pass();
  Var<T> y = pass.result({sequences, length + 1, columns}, x.needs_gradient() || token.needs_gradient());
  parallel_for(pass.threads(), sequences, [=, x = x.value().data(), token = token.value().data(), y = y.node()->output()](Index n) {
    std::copy_n(token, columns, y + n * row);
    std::copy_n(x + n * length * columns, length * columns, y + n * row + columns);
  });
  pass.backward_step(y, [=, x = x.node(), token = token.node(), y = y.node()](Pass<T>& pass) {
    const T* dy = y->gradient.data();
    if (x->needs_gradient) {
      const auto dx = pass.accumulate(*x);
      kernels::gather_rows(pass.threads(), sequences * length, columns, [length](Index r) { return r + r / length + 1; }, dy, dx.beta != T(0),
                           dx.into.data());
    }
    if (token->needs_gradient) {
      const auto dtoken = pass.accumulate(*token);
      for (Index c = 0; c < columns; ++c) {
        T sum = dtoken.beta == T(0) ? T(0) : dtoken.into[c];
        for (Index n = 0; n < sequences; ++n) sum += dy[n * row + c];
        dtoken.into[c] = sum;
      }
    }
  });
  return y;
}

/// y[n] = x[n, 0].  x [sequences, length, columns] -> y [sequences, columns]. dx is 0 elsewhere.
/// Throws `std::invalid_argument` for another rank or sequences without tokens.
template <class T>
Var<T> first_token(const Var<T>& x) {
  const Shape& s = x.shape();
  require(s.rank() == 3 && s[1] >= 1, "first_token: expected x [sequences, length, columns] with tokens, got ", s);
  return detail::move_rows(x, {s[0], s[2]}, detail::FirstTokenPlaces{s[1], s[2]});
}

/// y[i] = table[ids[i]].  table [entries, columns], ids of any shape -> y [ids ..., columns]. dtable[e] += the sum of dy[i] over the places
/// of e, in their order. Borrows the ids as long as the pass.
/// Throws `std::invalid_argument` for a table of another rank or an id outside of it.
template <class T>
Var<T> embedding(const Var<T>& table, View<const std::int32_t> ids) {
  const Shape& s = table.shape();
  require(s.rank() == 2, "embedding: expected a table [entries, columns], got ", s);
  for (Index i = 0; i < ids.size(); ++i) {
    require(ids[i] >= 0 && ids[i] < s[0], "embedding: expected ids in [0, ", s[0], "), got ", ids[i], " at place ", i);
  }
  const Index columns = s[1];
  Pass<T>& pass = table.pass();
  Var<T> y = pass.result(ids.shape().with(columns), table.needs_gradient());
  for (Index i = 0; i < ids.size(); ++i) std::copy_n(table.value().data() + ids[i] * columns, columns, y.node()->output() + i * columns);
  pass.backward_step(y, [ids, columns, table = table.node(), y = y.node()](Pass<T>& pass) {
    const View<T> into = pass.accumulate_from_zero(*table);
    parallel_ranges(pass.threads(), columns, 32, [&](Range range) {
      for (Index i = 0; i < ids.size(); ++i) {
        T* to = into.data() + ids[i] * columns;
        for (Index c = range.first; c < range.last; ++c) to[c] += y->gradient[i * columns + c];
      }
    });
  });
  return y;
}
template <class T>
Var<T> embedding(const Var<T>& table, const Tensor<std::int32_t>&& ids) = delete;  // they would be gone

}  // namespace tombola::inline TOMBOLA_ISA
