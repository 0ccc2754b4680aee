/// \file
/// Gates forward, in one pass over the parameters: draw or read, clamp, multiply with the weight, remember what backward needs.
#pragma once

#include <algorithm>

#include "tombola/core/parallel.hpp"
#include "tombola/kernels/gate_formulas.hpp"

namespace tombola::inline TOMBOLA_ISA::kernels {

/// Gates per chunk of work: a multiple of the noise group, small enough that two threads share a small layer.
inline constexpr Index gate_grain = 8192;

/// How many chunks `count` gates make: the length of a `chunk_sums` array.
inline constexpr Index gate_chunks(Index count) noexcept { return divide_up(count, gate_grain); }

/// The inputs of one gate layer; all arrays have `count` elements.
template <class T>
struct GateInput {
  Index count = 0;
  const T* theta = nullptr;   ///< the learned parameter
  const T* weight = nullptr;  ///< multiplied with the gate; null: one
  T sigma = T(0.5);           ///< of all gates, unless
  const T* sigmas = nullptr;  ///< each gate has its own
  T reach = T(0);             ///< how far outside of (0, 1) before the clamp the gradient still flows
};

/// Where a pass writes; null where a result is not wanted.
template <class T>
struct GateOutput {
  T* product = nullptr;  ///< z weight
  T* gate = nullptr;     ///< z
  std::uint64_t* open =
      nullptr;         ///< bit i: -reach < z_i < 1 + reach before the clamp, where the gradient flows; ceil(count / 64) words
  T* slope = nullptr;  ///< dz/dtheta where it is not just that bit
  double* chunk_sums = nullptr;  ///< sum of z over each chunk of `gate_grain` gates
};

namespace detail {

template <class T, class Arch>
simd::Batch<T, Arch> sigma_at(const GateInput<T>& in, Index i) noexcept {
  return in.sigmas == nullptr ? simd::Batch<T, Arch>(in.sigma) : simd::load<T, Arch>(in.sigmas + i);
}

/// One group; returns `sum` plus its z.
template <class Gate, class T, class Arch>
[[gnu::always_inline]] inline simd::Batch<T, Arch> sample_group(Gate gate, GateInput<T> in, const float* noise, Index at, GateOutput<T> out,
                                                                simd::Batch<T, Arch> sum) noexcept {
  using V = simd::Batch<T, Arch>;
  constexpr Index lanes = simd::width<T, Arch>;
  const V low(-in.reach), high(T(1) + in.reach), sharpness(gate.sharpness), offset(T(0.5) - T(0.5) * gate.sharpness);
  std::uint64_t open = 0;
  for (Index j = 0; j < noise_group; j += lanes) {
    const V x = gate.draw(simd::load<T, Arch>(in.theta + at + j), simd::load_floats<T, Arch>(noise + j),
                          sigma_at<T, Arch>(in, at + j));
    const auto inside = (x > low) & (x < high);
    const V z = simd::clamp(simd::fma(x, sharpness, offset), T(0), T(1));
    sum = sum + z;
    open |= simd::bits(inside) << j;
    if (out.product != nullptr) {
      simd::store(out.product + at + j, in.weight == nullptr ? z : z * simd::load<T, Arch>(in.weight + at + j));
    }
    if (out.gate != nullptr) simd::store(out.gate + at + j, z);
    if constexpr (!Gate::unit_slope) {
      if (out.slope != nullptr) simd::store(out.slope + at + j, simd::select(inside, gate.slope(x), V(T(0))));
    }
  }
  if (out.open != nullptr) out.open[at / noise_group] = open;
  return sum;
}

/// The last, incomplete group, through padded copies: the same instructions as for a whole group.
template <class Gate, class T, class Arch>
simd::Batch<T, Arch> sample_tail(const Gate& gate, const GateInput<T>& in, const float* noise, Index at, const GateOutput<T>& out,
                                 simd::Batch<T, Arch> sum) noexcept {
  const auto count = static_cast<std::size_t>(in.count - at);
  // A parameter of -1e9 closes the padded gates for good, so that they add nothing to the sum.
  T theta[noise_group], weight[noise_group] = {}, sigma[noise_group], product[noise_group], z[noise_group],
                        slope[noise_group];
  std::fill_n(theta, noise_group, T(-1e9));
  std::fill_n(sigma, noise_group, in.sigma);
  std::copy_n(in.theta + at, count, theta);
  if (in.weight != nullptr) std::copy_n(in.weight + at, count, weight);
  if (in.sigmas != nullptr) std::copy_n(in.sigmas + at, count, sigma);
  std::uint64_t open = 0;
  const GateInput<T> padded{noise_group, theta, in.weight == nullptr ? nullptr : weight, in.sigma, sigma, in.reach};
  sum = sample_group<Gate, T, Arch>(gate, padded, noise, 0, {product, z, &open, slope, nullptr}, sum);
  if (out.product != nullptr) std::copy_n(product, count, out.product + at);
  if (out.gate != nullptr) std::copy_n(z, count, out.gate + at);
  if (out.open != nullptr) out.open[at / noise_group] = open & ((std::uint64_t{1} << count) - 1);
  if (!Gate::unit_slope && out.slope != nullptr) std::copy_n(slope, count, out.slope + at);
  return sum;
}

}  // namespace detail

/// z = clamp((draw(theta, noise) - 1/2) sharpness + 1/2, 0, 1), product = z weight, for `in.count` gates; noise i is number i of the stream.
template <class Gate, class T, class Arch = simd::Native>
void gate_sample(const Threads& threads, const Gate& gate, const Stream& stream, const GateInput<T>& in,
                 const GateOutput<T>& out) noexcept {
  using Reader = NoiseReader<typename Gate::Noise, Arch>;
  parallel_ranges(threads, in.count, gate_grain, [&](Range range, Index chunk) {
    const Gate own_gate = gate;  // copies, which no store can change
    const GateInput<T> own_in = in;
    const GateOutput<T> own_out = out;
    Reader reader(stream, range.first);
    float noise[Reader::block];
    simd::Batch<T, Arch> sum(T(0));  // of at most 1 for each of at most gate_grain gates: exact enough
    for (Index first = range.first; first < range.last; first += Reader::block) {
      reader.read(noise);
      for (Index at = first; at < std::min(first + Reader::block, range.last); at += noise_group) {
        const bool whole = at + noise_group <= in.count;
        sum = whole ? detail::sample_group<Gate, T, Arch>(own_gate, own_in, noise + (at - first), at, own_out, sum)
                    : detail::sample_tail<Gate, T, Arch>(gate, in, noise + (at - first), at, out, sum);
      }
    }
    if (out.chunk_sums != nullptr) out.chunk_sums[chunk] = static_cast<double>(simd::sum(sum));
  });
}

/// The test-time value of one gate under a reading other than `sampled`.
template <class Gate, class V>
V gate_reading(const Gate& gate, Reading reading, const V& theta) noexcept {
  using T = typename V::value_type;
  const V x = gate.relaxed(theta);
  if (reading == Reading::relaxed) return simd::clamp(x, T(0), T(1));
  return simd::select(x > V(reading == Reading::binary ? T(0.5) : T(0)), V(T(1)), V(T(0)));
}

/// z = the gates' values under a reading other than `sampled`; product = z weight. Writes no `open` and no `slope`.
template <class Gate, class T, class Arch = simd::Native>
void gate_read(const Threads& threads, const Gate& gate, Reading reading, const GateInput<T>& in,
               const GateOutput<T>& out) noexcept {
  using V = simd::Batch<T, Arch>;
  constexpr Index lanes = simd::width<T, Arch>;
  parallel_ranges(threads, in.count, gate_grain, [&](Range range, Index chunk) {
    V sum(T(0));
    for (Index i = range.first; i < range.last; i += lanes) {
      const Index count = std::min(lanes, range.last - i);
      V z = gate_reading(gate, reading, simd::load_up_to<T, Arch>(in.theta + i, count));
      if (count < lanes) {  // the padding may read as open
        T part[static_cast<std::size_t>(lanes)] = {};
        simd::store_part(part, z, count);
        z = simd::load<T, Arch>(part);
      }
      sum = sum + z;
      V product = z;
      if (in.weight != nullptr) product = z * simd::load_up_to<T, Arch>(in.weight + i, count);
      const auto write = [&](T* to, const V& v) {
        if (to != nullptr) simd::store_up_to(to + i, v, count);
      };
      write(out.product, product);
      write(out.gate, z);
    }
    if (out.chunk_sums != nullptr) out.chunk_sums[chunk] = static_cast<double>(simd::sum(sum));
  });
}

}  // namespace tombola::inline TOMBOLA_ISA::kernels
