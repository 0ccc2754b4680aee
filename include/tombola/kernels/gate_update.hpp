/// \file
/// Gates backward and their Adam step: the gradient of the loss and of the penalty, moments, step and bounds in one pass.
#pragma once

#include <algorithm>
#include <bit>
#include <type_traits>
#include <vector>

#include "tombola/core/parallel.hpp"
#include "tombola/kernels/adam.hpp"
#include "tombola/kernels/gate_forward.hpp"

namespace tombola::inline TOMBOLA_ISA::kernels {

/// What the gradient of a gate layer is made of:
/// g_i = (dproduct_i weight_i + dz_all) dz_i/dtheta_i + lambda d penalty_i/dtheta_i.
template <class T>
struct GateGradient {
  GateInput<T> in;
  const T* dproduct = nullptr;          ///< d loss / d (z weight); null: zero, and so is dz_all
  const std::uint64_t* open = nullptr;  ///< from gate_sample; null together with dproduct
  const T* slope = nullptr;             ///< from gate_sample where Gate::unit_slope is false
  T dz_all = T(0);                      ///< the part of d loss / dz that all gates of the layer share
  Penalty penalty = Penalty::none;
  T lambda = T(0);
};

namespace detail {

/// d loss / dz, times dz/dtheta where `with_slope`, for the gates from i on.
template <class Gate, class T, class Arch>
simd::Batch<T, Arch> loss_gradient(const GateGradient<T>& from, Index i, Index count, bool with_slope) noexcept {
  using V = simd::Batch<T, Arch>;
  if (from.dproduct == nullptr) return V(T(0));
  V dz = simd::load_up_to<T, Arch>(from.dproduct + i, count);
  if (from.in.weight != nullptr) dz = dz * simd::load_up_to<T, Arch>(from.in.weight + i, count);
  dz = dz + V(from.dz_all);
  if (!Gate::unit_slope && with_slope) return dz * simd::load_up_to<T, Arch>(from.slope + i, count);
  return simd::select(simd::from_bits<T, Arch>(from.open[i / 64] >> (i % 64)), dz, V(T(0)));
}

/// 1 / sigma of the gates from i on, of all of them or each its own.
template <class T, class Arch>
class InverseSigma {
  using V = simd::Batch<T, Arch>;

 public:
  explicit InverseSigma(const GateInput<T>& in) noexcept : sigmas_(in.sigmas), of_all_(of(V(in.sigma))) {}
  V operator()(Index i, Index count) const noexcept {
    return sigmas_ == nullptr ? of_all_ : of(simd::load_up_to<T, Arch>(sigmas_ + i, count));
  }

 private:
  static V of(const V& sigma) noexcept { return simd::divide(V(T(1)), simd::max(sigma, V(T(1e-6)))); }
  const T* sigmas_;
  V of_all_;
};

/// out[j] = g_i for the gates i = range.first + j.
template <class Gate, class T, class Arch, Penalty penalty>
void gate_gradient_range(Gate gate, GateGradient<T> from, Range range, T* out) noexcept {
  using V = simd::Batch<T, Arch>;
  constexpr Index lanes = simd::width<T, Arch>;
  const InverseSigma<T, Arch> inverse(from.in);
  const auto gradient = [&](Index i, Index count) {
    const V g = loss_gradient<Gate, T, Arch>(from, i, count, true);
    if constexpr (penalty == Penalty::none) return g;
    const V theta = simd::load_up_to<T, Arch>(from.in.theta + i, count);
    return simd::fma(V(from.lambda), gate.penalty_slope(penalty, theta, inverse(i, count)), g);
  };
  Index i = range.first;
  for (; i + lanes <= range.last; i += lanes, out += lanes) simd::store(out, gradient(i, lanes));
  if (i < range.last) simd::store_part(out, gradient(i, range.last - i), range.last - i);
}

template <class Gate, class T>
using GateGradientRange = void (*)(Gate, GateGradient<T>, Range, T*) noexcept;

/// `gate_gradient_range` for a penalty: its loop holds the code of this one only.
template <class Gate, class T, class Arch>
GateGradientRange<Gate, T> gradient_range(Penalty penalty) noexcept {
  using enum Penalty;
  switch (penalty) {
  case sparse:
    return &gate_gradient_range<Gate, T, Arch, sparse>;
  case undecided:
    return &gate_gradient_range<Gate, T, Arch, undecided>;
  case variance:
    return &gate_gradient_range<Gate, T, Arch, variance>;
  case entropy:
    return &gate_gradient_range<Gate, T, Arch, entropy>;
  default:
    return &gate_gradient_range<Gate, T, Arch, none>;
  }
}

/// Calls body(i, count, chunk) for register after register; the last one of a layer may be shorter. The body captures by value
/// and is copied: so the compiler knows that no store changes what it captured, and keeps that in registers.
template <class T, class Arch, class Body>
void for_each_register(const Threads& threads, Index size, const Body& body) noexcept {
  constexpr Index lanes = simd::width<T, Arch>;
  parallel_ranges(threads, size, gate_grain, [&](Range range, Index chunk) {
    const Body own = body;
    Index i = range.first;
    for (; i + lanes <= range.last; i += lanes) own(i, std::integral_constant<Index, lanes>{}, chunk);
    if (i < range.last) own(i, range.last - i, chunk);
  });
}

}  // namespace detail

/// gradient_i = g_i. The unfused path, for those who look at gradients, add them up or clip them.
template <class Gate, class T, class Arch = simd::Native>
void gate_gradient(const Threads& threads, const Gate& gate, const GateGradient<T>& from, T* gradient) noexcept {
  const auto gradient_range = detail::gradient_range<Gate, T, Arch>(from.penalty);
  parallel_ranges(threads, from.in.count, gate_grain,
                  [&](Range range) { gradient_range(gate, from, range, gradient + range.first); });
}

/// One Adam step on theta, which `from.in.theta` must point to, with g_i as its gradient; then the bounds. One pass over memory.
template <class Gate, class T, class Arch = simd::Native>
void gate_adam(const Threads& threads, const Gate& gate, const GateGradient<T>& from, const AdamStep<T>& step, T* theta, T* m,
               T* v) noexcept {
  // Gradients of a few gates, then their step: one loop over both is a chain too long for the processor to look beyond.
  constexpr Index block = 1024;
  const auto gradient_range = detail::gradient_range<Gate, T, Arch>(from.penalty);
  parallel_ranges(threads, from.in.count, gate_grain, [&](Range range) {
    alignas(64) T gradient[block];  // no register across two cache lines
    for (Index i = range.first; i < range.last; i += block) {
      const Range part{i, std::min(range.last, i + block)};
      gradient_range(gate, from, part, gradient);
      detail::adam_range<T, Arch>(step, part.size(), gradient, theta + i, m + i, v + i);
    }
  });
}

/// gradient_i = d loss / dsigma_i = (d loss / dz_i) n_i 1{0 < z_i < 1}, plus lambda d penalty_i/dsigma_i where
/// `through_penalty`. Draws the noise of the step again. Gaussian gates only.
template <class T, class Arch = simd::Native>
void gate_sigma_gradient(const Threads& threads, const GaussianGate<T>& gate, const Stream& stream, const GateGradient<T>& from,
                         bool through_penalty, T* gradient) noexcept {
  using V = simd::Batch<T, Arch>;
  using Gate = GaussianGate<T>;
  using Reader = NoiseReader<typename Gate::Noise, Arch>;
  constexpr Index lanes = simd::width<T, Arch>;
  const detail::InverseSigma<T, Arch> inverse(from.in);
  parallel_ranges(threads, from.in.count, gate_grain, [&](Range range) {
    Reader reader(stream, range.first);
    float noise[Reader::block];
    for (Index i = range.first; i < range.last; i += lanes) {
      if (i % Reader::block == 0) reader.read(noise);
      const Index count = std::min(lanes, range.last - i);
      V g = detail::loss_gradient<Gate, T, Arch>(from, i, count, false) *
            simd::load_floats<T, Arch>(noise + i % Reader::block);
      if (through_penalty) {
        const V theta = simd::load_up_to<T, Arch>(from.in.theta + i, count);
        g = simd::fma(V(from.lambda), gate.penalty_sigma_slope(from.penalty, theta, inverse(i, count)), g);
      }
      simd::store_up_to(gradient + i, g, count);
    }
  });
}

/// chunk_sums[c] = the sum of the penalties of chunk c.
template <class Gate, class T, class Arch = simd::Native>
void gate_penalty(const Threads& threads, const Gate& gate, Penalty penalty, const GateInput<T>& in, double* chunk_sums) noexcept {
  using V = simd::Batch<T, Arch>;
  constexpr Index lanes = simd::width<T, Arch>;
  const detail::InverseSigma<T, Arch> inverse(in);
  parallel_ranges(threads, in.count, gate_grain, [&](Range range, Index chunk) {
    V sum(T(0));
    double tail = 0;
    for (Index i = range.first; i < range.last; i += lanes) {
      const Index count = std::min(lanes, range.last - i);
      const V theta = simd::load_up_to<T, Arch>(in.theta + i, count);
      const V value = gate.penalty(penalty, theta, inverse(i, count));
      if (count == lanes) {
        sum = sum + value;
      } else {
        T part[static_cast<std::size_t>(lanes)];
        simd::store(part, value);
        for (Index j = 0; j < count; ++j) tail += static_cast<double>(part[j]);
      }
    }
    chunk_sums[chunk] = static_cast<double>(simd::sum(sum)) + tail;
  });
}

/// How many gates are open under the reading `above_zero` or `binary`, and how many are strictly between 0 and 1 when relaxed.
struct GateCounts {
  Index open = 0, fractional = 0;
};

/// Counts over all gates; whole numbers, so the order does not matter.
template <class Gate, class T, class Arch = simd::Native>
GateCounts gate_counts(const Threads& threads, const Gate& gate, Reading reading, const T* theta, Index size) {
  using V = simd::Batch<T, Arch>;
  std::vector<GateCounts> chunks(static_cast<std::size_t>(gate_chunks(size)));
  detail::for_each_register<T, Arch>(threads, size, [=, sums = chunks.data()](Index i, Index count, Index chunk) {
    const V x = gate.relaxed(simd::load_up_to<T, Arch>(theta + i, count));
    const std::uint64_t all = (std::uint64_t{1} << count) - 1;
    GateCounts& sum = sums[chunk];
    sum.open += std::popcount(simd::bits(x > V(reading == Reading::binary ? T(0.5) : T(0))) & all);
    sum.fractional += std::popcount(simd::bits((x > V(T(0))) & (x < V(T(1)))) & all);
  });
  GateCounts total;
  for (const auto& chunk : chunks) total = {total.open + chunk.open, total.fractional + chunk.fractional};
  return total;
}

}  // namespace tombola::inline TOMBOLA_ISA::kernels
