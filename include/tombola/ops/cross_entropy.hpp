/// \file
/// Softmax and cross-entropy with class labels, in one op.
#pragma once

#include <cstdint>

#include "tombola/autograd/pass.hpp"
#include "tombola/kernels/softmax.hpp"

namespace tombola::inline TOMBOLA_ISA {

/// y = 1/batch sum_r -sum_c q[r, c] log softmax(x[r])_c, y [], with q = (1 - smoothing) onehot(label) + smoothing / classes.
/// x [batch, classes], labels [batch], whole numbers in [0, classes).
/// dx[r, c] += dy (softmax(x[r])_c - q[r, c]) / batch. Borrows the labels until the backward pass.
/// Throws `std::invalid_argument` if the shapes do not fit, the batch is empty, a label is out of range, or the smoothing is not
/// in [0, 1]. Source of the smoothing: Szegedy et al., "Rethinking the Inception architecture", CVPR 2016.
template <class T, class Label>
Var<T> cross_entropy(const Var<T>& x, View<Label> labels, std::type_identity_t<T> smoothing = T(0)) {
  const Shape& xs = x.shape();
  require(xs.rank() == 2 && xs[0] > 0 && xs[1] > 0 && labels.shape() == Shape{xs[0]},
          "cross_entropy: expected x [batch, classes] and labels [batch], got ", xs, " and ", labels.shape());
  require(smoothing >= T(0) && smoothing <= T(1), "cross_entropy: expected a smoothing in [0, 1], got ", smoothing);
  const Index rows = xs[0], columns = xs[1];
  for (Index r = 0; r < rows; ++r) {
    const auto label = static_cast<Index>(labels[r]);
    require(label >= 0 && label < columns, "cross_entropy: expected labels in [0, ", columns, "), got ", label, " at row ",
            r);
  }
  Pass<T>& pass = x.pass();
  Var<T> y = pass.result({}, x.needs_gradient());
  Var<T> p = pass.result(xs, false);
  Tensor<T> losses = pass.buffer({rows});
  kernels::cross_entropy(pass.threads(), rows, columns, x.value().data(), labels.data(), T(smoothing), losses.data(),
                         p.node()->output());
  double total = 0;
  for (const T loss : losses) total += static_cast<double>(loss);
  y.node()->output()[0] = static_cast<T>(total / static_cast<double>(rows));
  pass.backward_step(y, [rows, columns, smoothing, labels, x = x.node(), p = p.node(), y = y.node()](Pass<T>& pass) {
    const auto dx = pass.accumulate(*x);
    kernels::cross_entropy_backward(pass.threads(), rows, columns, p->value.data(), labels.data(), T(smoothing),
                                    y->gradient[0] / static_cast<T>(rows), dx.beta, dx.into.data());
  });
  return y;
}

/// The number of rows whose largest element stands at the label; a row with NaN counts as wrong. x [batch, classes].
/// Throws `std::invalid_argument` if the shapes do not fit, or for rows without a class.
template <class T, class Label>
Index count_correct(View<const T> x, View<Label> labels) {
  require(x.shape().rank() == 2 && labels.shape() == Shape{x.shape()[0]} && (x.shape()[1] > 0 || labels.size() == 0),
          "count_correct: expected x [batch, classes] and labels [batch], got ", x.shape(), " and ", labels.shape());
  Index correct = 0;
  for (Index r = 0; r < x.shape()[0]; ++r) {
    const T* row = x.row(r);
    const T* end = row + x.shape()[1];
    bool numbers = true;
    for (const T* v = row; v != end; ++v) numbers = numbers && *v == *v;
    correct += numbers && std::max_element(row, end) - row == static_cast<Index>(labels[r]);
  }
  return correct;
}

}  // namespace tombola::inline TOMBOLA_ISA
