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
/// Moments below 1e-30 are set to zero: they would decay into denormal numbers, which cost a hundred times as much. So v stays 0 where gradients
/// are below sqrt(1e-30 / (1 - beta2)), which an epsilon of 1e-13 and more hides.
/// Source: Kingma, Ba, "Adam: a method for stochastic optimization", ICLR 2015, algorithm 1.
template <class T, class V>
void adam_update(const AdamStep<T>& step, const V& g, V& theta, V& m, V& v) noexcept {
  const V zero(T(0)), least(T(1e-30));
  m = simd::fma(V(T(1) - step.beta1), g, m * V(step.beta1));
  v = simd::fma(g * V(T(1) - step.beta2), g, v * V(step.beta2));
  const V moved = theta - simd::divide(V(step.rate) * m, simd::fma(simd::sqrt(v), V(step.deviation), V(step.epsilon)));
  theta = simd::clamp(moved, step.low, step.high);
  m = simd::select(simd::abs(m) < least, zero, m);
  v = simd::select(v < least, zero, v);
}

namespace detail {

/// One Adam step on `count` parameters. All by value: no store can change what the compiler keeps in registers.
template <class T, class Arch>
void adam_range(AdamStep<T> step, Index count, const T* gradient, T* theta, T* m, T* v) noexcept {
  constexpr Index lanes = simd::width<T, Arch>;
  Index i = 0;
  for (; i + lanes <= count; i += lanes) {
    auto parameter = simd::load<T, Arch>(theta + i), first = simd::load<T, Arch>(m + i), second = simd::load<T, Arch>(v + i);
    adam_update(step, simd::load<T, Arch>(gradient + i), parameter, first, second);
    simd::store(theta + i, parameter);
    simd::store(m + i, first);
    simd::store(v + i, second);
  }
  if (i == count) return;
  const auto read = [&](const T* p) { return simd::load_part<T, Arch>(p + i, count - i); };
  auto parameter = read(theta), first = read(m), second = read(v);
  adam_update(step, read(gradient), parameter, first, second);
  simd::store_part(theta + i, parameter, count - i);
  simd::store_part(m + i, first, count - i);
  simd::store_part(v + i, second, count - i);
}

}  // namespace detail

/// One Adam step on `count` parameters with explicit gradients.
template <class T, class Arch = simd::Native>
void adam(const Threads& threads, const AdamStep<T>& step, Index count, const T* gradient, T* theta, T* m, T* v) noexcept {
  parallel_ranges(threads, count, 8192, [&](Range range) {
    const Index i = range.first;
    detail::adam_range<T, Arch>(step, range.size(), gradient + i, theta + i, m + i, v + i);
  });
}

}  // namespace tombola::inline TOMBOLA_ISA::kernels
