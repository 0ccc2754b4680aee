/// \file
/// Sequences of tokens: one put in front, one taken out, each looked up in a table.
#pragma once

#include <algorithm>
#include <cstdint>

#include "tombola/autograd/pass.hpp"
#include "tombola/core/parallel.hpp"

namespace tombola::inline TOMBOLA_ISA {

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
      parallel_for(pass.threads(), sequences, [=](Index n) {
        T* to = dx.into.data() + n * length * columns;
        const T* from = dy + n * row + columns;
        for (Index i = 0; i < length * columns; ++i) to[i] = from[i] + (dx.beta == T(0) ? T(0) : to[i]);
      });
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
  const Index sequences = s[0], columns = s[2], row = s[1] * columns;
  Pass<T>& pass = x.pass();
  Var<T> y = pass.result({sequences, columns}, x.needs_gradient());
  for (Index n = 0; n < sequences; ++n) std::copy_n(x.value().data() + n * row, columns, y.node()->output() + n * columns);
  pass.backward_step(y, [=, x = x.node(), y = y.node()](Pass<T>& pass) {
    const auto dx = pass.accumulate(*x);
    if (dx.beta == T(0)) std::fill_n(dx.into.data(), dx.into.size(), T(0));
    for (Index n = 0; n < sequences; ++n) {
      for (Index c = 0; c < columns; ++c) dx.into[n * row + c] += y->gradient[n * columns + c];
    }
  });
  return y;
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
    const auto into = pass.accumulate(*table);
    if (into.beta == T(0)) std::fill_n(into.into.data(), into.into.size(), T(0));
    parallel_ranges(pass.threads(), columns, 32, [&](Range range) {
      for (Index i = 0; i < ids.size(); ++i) {
        T* to = into.into.data() + ids[i] * columns;
        for (Index c = range.first; c < range.last; ++c) to[c] += y->gradient[i * columns + c];
      }
    });
  });
  return y;
}

}  // namespace tombola::inline TOMBOLA_ISA
