/// \file
/// Gates in a pass: drawn or read once for every use in it, multiplied with the frozen weight.
#pragma once

#include <algorithm>
#include <cmath>
#include <utility>
#include <vector>

#include "tombola/gates/gradient.hpp"
#include "tombola/kernels/elementwise.hpp"
#include "tombola/kernels/reduce.hpp"

namespace tombola::inline TOMBOLA_ISA {

/// How the output of a layer is scaled up for the weights that its gates remove: by s = sqrt(n / max(1, sum z)), over the n
/// gates of the layer, or of each output (`neuron`). Source: arXiv 1905.01067 (dynamic weight rescaling).
enum class Rescale : std::uint8_t { none = 0, layer = 1, neuron = 2 };

/// The gates' values times the weight, and the factor for the layer's output ([1] or [out]; empty for `none`).
template <class T>
struct GatedWeight {
  Var<T> weight;
  Var<T> scale;
};

namespace detail {

/// s_g = sqrt(n / max(1, S_g)) for the sums S_g of z over groups of n gates.
template <class T>
T rescale_factor(Index n, double sum) noexcept {
  return static_cast<T>(std::sqrt(static_cast<double>(n) / std::max(1.0, sum)));
}

/// d loss / dz of every gate in a group, from ds: ds/dS = -s / (2 S), zero where the max holds.
template <class T>
T rescale_slope(Index n, T s, T ds) noexcept {
  if (s >= rescale_factor<T>(n, 1.0)) return T(0);
  const double sum = static_cast<double>(n) / (static_cast<double>(s) * static_cast<double>(s));
  return static_cast<T>(-static_cast<double>(s) * static_cast<double>(ds) / (2 * sum));
}

/// After backward: what the factor's gradient adds to every gate's.
template <class T>
void add_rescale_gradient(Pass<T>& pass, GateParameter<T>& gate, const Node<T>& scale) {
  const Index groups = scale.size(), n = gate.size() / groups;
  if (groups == 1) {
    gate.dz_all += rescale_slope(n, scale.value[0], scale.gradient[0]);
    return;
  }
  // One number per output: the gradient by z itself is written out, in place of the one by z w.
  parallel_ranges(pass.threads(), groups, std::max<Index>(1, kernels::elementwise_grain / n), [&](Range range) {
    for (Index g = range.first; g < range.last; ++g) {
      const T shared = rescale_slope(n, scale.value[g], scale.gradient[g]);
      for (Index i = g * n; i < (g + 1) * n; ++i) {
        gate.dproduct[i] = gate.dproduct[i] * (gate.weight.size() == 0 ? T(1) : gate.weight.data()[i]) + shared;
      }
    }
  });
  gate.dproduct_is_dz = true;
}

/// Draws or reads the gates into `weight`; returns sum z, and z itself where it is asked for.
template <class T>
double read_gates(Pass<T>& pass, GateParameter<T>& gate, bool keeps_draw, Var<T>& weight, T* z) {
  const Threads& threads = pass.threads();
  std::vector<double> sums(static_cast<std::size_t>(kernels::gate_chunks(gate.size())));
  kernels::GateOutput<T> out{weight.node()->output(), z, nullptr, nullptr, sums.data()};
  const Stream noise{pass.options().seed, Purpose::gate_noise, gate.id, pass.options().step};
  if (keeps_draw) {
    gate.open.resize(static_cast<std::size_t>((gate.size() + 63) / 64));
    out.open = gate.open.data();
    gate.noise = noise;
  }
  const kernels::GateInput<T> input = gates::kernel_input(gate);
  gates::with_formulas<T>(gate, [&](auto formulas) {
    if (pass.reading() != Reading::sampled) return kernels::gate_read(threads, formulas, pass.reading(), input, out);
    if (keeps_draw && !formulas.unit_slope) {
      if (gate.slope.size() == 0) gate.slope = Tensor<T>(gate.shape());
      out.slope = gate.slope.data();
    }
    kernels::gate_sample(threads, formulas, noise, input, out);
  });
  double sum = 0;
  for (const double part : sums) sum += part;
  return sum;
}

}  // namespace detail

/// z w (or z where the gates have no weight), with the shape of the gates, and the rescaling factor. z is drawn anew for each
/// pass, as the pass's options say, and is the same for every use in it.
/// dtheta += (dproduct w) dz/dtheta, left with the gates for the optimiser. Borrows the gates as long as the pass.
/// Throws `std::invalid_argument` unless gates with `Rescale::neuron` are [out, in] or [out, height, width, in], for no gates to rescale,
/// and unless all uses in a pass that samples them rescale alike.
/// The backward pass throws `std::logic_error`, and changes nothing, if another pass has drawn the gates since.
template <class T>
GatedWeight<T> gated_weight(Pass<T>& pass, GateParameter<T>& gate, Rescale rescale = Rescale::none) {
  require(rescale != Rescale::neuron || gate.shape().rank() == 2 || gate.shape().rank() == 4, gate.name,
          ": expected gates [out, in] or [out, height, width, in] to rescale each output, got ", gate.shape());
  require(rescale == Rescale::none || gate.size() > 0, gate.name, ": expected at least one gate to rescale, got ", gate.shape());
  const Index groups = rescale == Rescale::neuron ? gate.shape()[0] : 1;
  const bool learns = pass.records() && pass.reading() == Reading::sampled;
  if (Var<T> known = pass.shared(gate.value_key())) {
    Var<T> scale = pass.shared(gate.scale_key());
    if (rescale == Rescale::none ? !scale : scale && scale.shape() == Shape{groups}) return {known, scale};
    require(!learns, gate.name, ": expected one way of rescaling for all uses in a pass");  // else it is read again
  }
  if (learns) {
    gates::make_explicit(pass.threads(), gate);  // what an earlier pass left
    ++gate.draws;
  }
  GatedWeight<T> result{pass.result(gate.shape(), learns), {}};
  Tensor<T> z = rescale == Rescale::neuron ? pass.buffer(gate.shape()) : Tensor<T>();
  const double sum = detail::read_gates(pass, gate, learns, result.weight, z.data());
  if (rescale != Rescale::none) {
    result.scale = pass.result({groups}, learns);
    T* s = result.scale.node()->output();
    s[0] = static_cast<T>(sum);
    if (groups > 1)
      kernels::reduce_columns(
          pass.threads(), groups, gate.size() / groups, [](const auto& v) { return v; }, s, z.data());
    for (Index g = 0; g < groups; ++g)
      s[g] = detail::rescale_factor<T>(gate.size() / groups, static_cast<double>(s[g]));
    pass.share(gate.scale_key(), result.scale);
  }
  pass.share(gate.value_key(), result.weight);
  if (!learns) return result;

  if (gate.dproduct.size() != gate.size()) gate.dproduct = Tensor<T>(gate.shape());
  pass.gradient_into(result.weight, gate.dproduct);
  pass.backward_check([to = &gate, draw = gate.draws](Pass<T>&) {
    if (to->draws != draw) throw std::logic_error(concat(to->name, ": expected backward before the gates are drawn again"));
  });
  if (result.scale) {  // runs after the weight's step
    pass.backward_step(result.scale, [to = &gate, scale = result.scale.node()](Pass<T>& pass) {
      if (!std::exchange(to->pending, true)) {  // the weight itself was not used
        to->dproduct_is_dz = false;
        std::fill(to->dproduct.begin(), to->dproduct.end(), T(0));
      }
      detail::add_rescale_gradient(pass, *to, *scale);
    });
  }
  pass.backward_step(result.weight, [to = &gate](Pass<T>&) {
    to->pending = true;
    to->dproduct_is_dz = false;
  });
  return result;
}

}  // namespace tombola::inline TOMBOLA_ISA
