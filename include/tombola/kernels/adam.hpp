/// \file
/// The Adam rule on a register, and on plain arrays.
#pragma once

#include <algorithm>

#include "tombola/core/parallel.hpp"
#include "tombola/kernels/simd.hpp"

namespace tombola::inline TOMBOLA_ISA::kernels {

/// The constants of one step.
template <class T>
struct AdamStep {
  T beta1, beta2, epsilon;
  T rate;       ///< learning rate / (1 - beta1^t)
  T deviation;  ///< 1 / sqrt(1 - beta2^t)
  T low, high;  ///< bounds on the parameter after the step
};

/// m = beta1 m + (1 - beta1) g,  v = beta2 v + (1 - beta2) g^2,  theta = clamp(theta - rate m / (deviation sqrt(v) + epsilon)).
/// Moments below 1e-30 are set to zero: they would decay into denormal numbers, which cost a hundred times as much.
/// Source: Kingma, Ba, "Adam: a method for stochastic optimization", ICLR 2015, algorithm 1.
template <class T, class V>
void adam_update(const AdamStep<T>& step, const V& g, V& theta, V& m, V& v) noexcept {
  const V zero(T(0)), least(T(1e-30));
  m = simd::fma(V(T(1) - step.beta1), g, m * V(step.beta1));
  v = simd::fma(g * V(T(1) - step.beta2), g, v * V(step.beta2));
  m = simd::select(simd::abs(m) < least, zero, m);
  v = simd::select(v < least, zero, v);
  const V moved = theta - V(step.rate) * m / simd::fma(simd::sqrt(v), V(step.deviation), V(step.epsilon));
  theta = simd::clamp(moved, step.low, step.high);
}

/// One Adam step on `count` parameters with explicit gradients.
template <class T, class Arch = simd::Native>
void adam(int threads, const AdamStep<T>& step, Index count, const T* gradient, T* theta, T* m, T* v) noexcept {
  constexpr Index lanes = simd::width<T, Arch>;
  parallel_ranges(threads, count, 8192, [&](Range range) {
    for (Index i = range.first; i < range.last; i += lanes) {
      const Index part = std::min(lanes, range.last - i);
      const auto read = [&](const T* p) {
        return part == lanes ? simd::load<T, Arch>(p + i) : simd::load_part<T, Arch>(p + i, part);
      };
      const auto write = [&](T* p, const simd::Batch<T, Arch>& value) {
        part == lanes ? simd::store(p + i, value) : simd::store_part(p + i, value, part);
      };
      auto parameter = read(theta), first = read(m), second = read(v);
      adam_update(step, read(gradient), parameter, first, second);
      write(theta, parameter);
      write(m, first);
      write(v, second);
    }
  });
}

}  // namespace tombola::inline TOMBOLA_ISA::kernels
