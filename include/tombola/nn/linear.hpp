/// \file
/// Linear: a fully connected layer over any weight source.
#pragma once

#include <string>
#include <tuple>
#include <utility>

#include "tombola/nn/check_finite.hpp"
#include "tombola/nn/weight_sources.hpp"
#include "tombola/ops/linear.hpp"

namespace tombola::inline TOMBOLA_ISA::nn {

/// y = s x w^T with what a weight source gives: w [out, in] and, where its gates are rescaled, their factor s. x [..., in] -> y [..., out].
/// Throws `std::invalid_argument` if the shapes do not fit.
template <class T>
Var<T> rescaled_linear(const Var<T>& x, const GatedWeight<T>& weight) {
  return rescaled(weight, 2 * x.shape().last() <= x.shape().rows(), [&x](const Var<T>& w) { return linear(x, w); });
}

/// y = s x w^T with a weight w [out, in] from its source and, where its gates are rescaled, their factor s. No bias.
///
///     Linear<Gated> fc1(init, "fc1", 784, 300);
template <template <class> class Source, class T = float>
struct Linear {
  std::string name;
  Index in, out;
  Source<T> weight;

  /// The weights are drawn `gain` times as large as by default. Throws `std::invalid_argument` unless in and out are at least 1.
  Linear(Init& init, std::string layer, Index inputs, Index outputs, double gain = 1)
      : name(std::move(layer)),
        in(inputs),
        out(outputs),
        weight(init, name + ".weight", checked_shape(), Fans{inputs, outputs, gain}) {}

  /// x [..., in] -> y [..., out]. Throws `std::invalid_argument` for another x.
  [[gnu::noinline]] Var<T> operator()(const Var<T>& x) {
    require(x.shape().rank() >= 1 && x.shape().last() == in, name, ": expected x [..., ", in, "], got ", x.shape());
    Var<T> y = rescaled_linear(x, weight(x.pass()));
    if (x.pass().options().checks_finite) check_finite(name, y);
    return y;
  }
  auto members() { return std::tie(weight); }

 private:
  Shape checked_shape() const {
    require(in >= 1 && out >= 1, name, ": expected at least one input and one output, got ", in, " and ", out);
    return {out, in};
  }
};

}  // namespace tombola::inline TOMBOLA_ISA::nn
