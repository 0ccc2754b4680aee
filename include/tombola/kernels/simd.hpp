/// \file
/// The only door to xsimd: one register of numbers, the operations on it that every kernel uses, and what xsimd lacks.
#pragma once

#include <xsimd/xsimd.hpp>

#include <algorithm>
#include <array>
#include <cstdint>
#include <cstring>
#include <type_traits>

#include "tombola/core/shape.hpp"

namespace tombola::inline TOMBOLA_ISA::simd {

/// The best architecture that this translation unit is compiled for. Kernels take any architecture, so that one test
/// program can check all that its machine runs.
using Native = xsimd::default_arch;

/// One register of T.
template <class T, class Arch = Native>
using Batch = xsimd::batch<T, Arch>;

/// How many T a register holds.
template <class T, class Arch = Native>
inline constexpr Index width = static_cast<Index>(Batch<T, Arch>::size);

template <class Arch>
inline constexpr bool is_avx512 = std::is_base_of_v<xsimd::avx512f, Arch>;

template <class T, class Arch = Native>
inline Batch<T, Arch> load(const T* p) noexcept {
  return Batch<T, Arch>::load_unaligned(p);
}

template <class T, class Arch>
inline void store(T* p, const Batch<T, Arch>& a) noexcept {
  a.store_unaligned(p);
}

#if defined(__AVX__)
/// The mask of AVX and AVX2 for the first `count` <= 32 / sizeof(T) elements.
template <class T>
inline __m256i first_elements(Index count) noexcept {
  using Int = std::conditional_t<sizeof(T) == 4, std::int32_t, std::int64_t>;
  constexpr Index lanes = 32 / sizeof(T);
  static constexpr auto all_then_none = [] {
    std::array<Int, 2 * lanes> table{};
    std::fill_n(table.begin(), lanes, Int{-1});
    return table;
  }();
  return _mm256_loadu_si256(reinterpret_cast<const __m256i*>(all_then_none.data() + lanes - count));
}
#endif

/// The first `count` <= width elements; the others are zero. Nothing past them is read.
template <class T, class Arch = Native>
inline Batch<T, Arch> load_part(const T* p, Index count) noexcept {
#if defined(__AVX512F__)
  if constexpr (is_avx512<Arch> && std::is_same_v<T, float>) {
    return _mm512_maskz_loadu_ps(static_cast<__mmask16>((1u << count) - 1), p);
  } else if constexpr (is_avx512<Arch> && std::is_same_v<T, double>) {
    return _mm512_maskz_loadu_pd(static_cast<__mmask8>((1u << count) - 1), p);
  } else
#endif
#if defined(__AVX__)
  if constexpr (std::is_base_of_v<xsimd::avx, Arch> && std::is_same_v<T, float>) {
    return _mm256_maskload_ps(p, first_elements<T>(count));
  } else if constexpr (std::is_base_of_v<xsimd::avx, Arch> && std::is_same_v<T, double>) {
    return _mm256_maskload_pd(p, first_elements<T>(count));
  } else
#endif
  {
    T part[static_cast<std::size_t>(width<T, Arch>)] = {};
    std::memcpy(part, p, static_cast<std::size_t>(count) * sizeof(T));
    return simd::load<T, Arch>(part);
  }
}

/// Writes the first `count` <= width elements and nothing past them.
template <class T, class Arch>
inline void store_part(T* p, const Batch<T, Arch>& a, Index count) noexcept {
#if defined(__AVX512F__)
  if constexpr (is_avx512<Arch> && std::is_same_v<T, float>) {
    _mm512_mask_storeu_ps(p, static_cast<__mmask16>((1u << count) - 1), a);
  } else if constexpr (is_avx512<Arch> && std::is_same_v<T, double>) {
    _mm512_mask_storeu_pd(p, static_cast<__mmask8>((1u << count) - 1), a);
  } else
#endif
#if defined(__AVX__)
  if constexpr (std::is_base_of_v<xsimd::avx, Arch> && std::is_same_v<T, float>) {
    _mm256_maskstore_ps(p, first_elements<T>(count), a);
  } else if constexpr (std::is_base_of_v<xsimd::avx, Arch> && std::is_same_v<T, double>) {
    _mm256_maskstore_pd(p, first_elements<T>(count), a);
  } else
#endif
  {
    T part[static_cast<std::size_t>(width<T, Arch>)];
    simd::store(part, a);
    std::memcpy(p, part, static_cast<std::size_t>(count) * sizeof(T));
  }
}

/// `count` <= width elements from p, zeros after them; whole registers take the faster way.
template <class T, class Arch>
inline Batch<T, Arch> load_up_to(const T* p, Index count) noexcept {
  return count == width<T, Arch> ? simd::load<T, Arch>(p) : simd::load_part<T, Arch>(p, count);
}
template <class T, class Arch>
inline void store_up_to(T* p, const Batch<T, Arch>& v, Index count) noexcept {
  count == width<T, Arch> ? simd::store(p, v) : simd::store_part(p, v, count);
}

/// The architecture whose registers are half as wide as AVX-512's.
template <class Arch>
using Half = std::conditional_t<is_avx512<Arch>, xsimd::avx2, Arch>;

/// Writes the lower half of the elements.
template <class T, class Arch>
inline void store_low_half(T* p, const Batch<T, Arch>& a) noexcept {
#if defined(__AVX512F__)
  if constexpr (is_avx512<Arch> && std::is_same_v<T, float>) return _mm256_storeu_ps(p, _mm512_castps512_ps256(a));
#endif
  simd::store_part(p, a, width<T, Arch> / 2);
}

/// Writes the upper half.
template <class T, class Arch>
inline void store_high_half(T* p, const Batch<T, Arch>& a) noexcept {
#if defined(__AVX512F__)
  if constexpr (is_avx512<Arch> && std::is_same_v<T, float>) {
    return _mm256_storeu_ps(p, _mm256_castpd_ps(_mm512_extractf64x4_pd(_mm512_castps_pd(a), 1)));
  }
#endif
  constexpr Index half = width<T, Arch> / 2;
  T all[2 * half];
  simd::store(all, a);
  std::copy_n(all + half, half, p);
}

/// to[0 ... count) = from[0 ... count): half a register or whole ones.
template <Index count, class Arch, class T>
[[gnu::always_inline]] inline void copy(const T* from, T* to) noexcept {
  if constexpr (count < width<T, Arch>) {
    simd::store(to, simd::load<T, Half<Arch>>(from));
  } else {
    for (Index i = 0; i < count; i += width<T, Arch>) simd::store(to + i, simd::load<T, Arch>(from + i));
  }
}

/// The same of the first `existing` < count elements; what is left of the last register in `to` is overwritten.
template <Index count, class Arch, class T>
[[gnu::always_inline]] inline void copy_part(const T* from, T* to, Index existing) noexcept {
  using Register = std::conditional_t<(count < width<T, Arch>), Half<Arch>, Arch>;
  for (Index i = 0; i < existing; i += width<T, Register>) {
    simd::store(to + i, simd::load_up_to<T, Register>(from + i, std::min(width<T, Register>, existing - i)));
  }
}

/// a b + c, rounded once where the machine can (xsimd 8.1 rounds twice on AVX-512).
template <class T, class Arch>
inline Batch<T, Arch> fma(const Batch<T, Arch>& a, const Batch<T, Arch>& b, const Batch<T, Arch>& c) noexcept {
#if defined(__AVX512F__)
  if constexpr (is_avx512<Arch> && std::is_same_v<T, float>) {
    return _mm512_fmadd_ps(a, b, c);
  } else if constexpr (is_avx512<Arch> && std::is_same_v<T, double>) {
    return _mm512_fmadd_pd(a, b, c);
  } else
#endif
    return xsimd::fma(a, b, c);
}

/// The products of the low halves of 64-bit elements.
template <class Arch>
inline Batch<std::uint64_t, Arch> multiply_low_halves(const Batch<std::uint64_t, Arch>& a,
                                                      const Batch<std::uint64_t, Arch>& b) noexcept {
#if defined(__AVX512F__)
  if constexpr (is_avx512<Arch>) return _mm512_mul_epu32(a, b);
#endif
#if defined(__AVX2__)
  if constexpr (!is_avx512<Arch> && std::is_base_of_v<xsimd::avx2, Arch>) return _mm256_mul_epu32(a, b);
#endif
#if defined(__SSE2__)
  if constexpr (std::is_base_of_v<xsimd::sse2, Arch>) return _mm_mul_epu32(a, b);
#endif
#if defined(__ARM_NEON)
  if constexpr (std::is_base_of_v<xsimd::neon, Arch>) return vmull_u32(vmovn_u64(a), vmovn_u64(b));
#endif
  constexpr std::size_t size = Batch<std::uint64_t, Arch>::size;
  std::uint64_t left[size], right[size];
  simd::store(left, a);
  simd::store(right, b);
  for (std::size_t i = 0; i < size; ++i)
    left[i] = std::uint64_t{static_cast<std::uint32_t>(left[i])} * static_cast<std::uint32_t>(right[i]);
  return simd::load<std::uint64_t, Arch>(left);
}

namespace detail {

/// All elements folded into one by `op`, which takes registers and numbers: element i with i + n / 2, then with i + n / 4, and so on.
template <class T, class Arch, class Op>
inline T fold(const Batch<T, Arch>& a, const Op& op) noexcept {
#if defined(__AVX512F__)
  if constexpr (is_avx512<Arch> && std::is_same_v<T, float>) {
    const __m256 high = _mm256_castpd_ps(_mm512_extractf64x4_pd(_mm512_castps_pd(a), 1));
    return fold(op(Batch<T, xsimd::avx>(_mm512_castps512_ps256(a)), Batch<T, xsimd::avx>(high)), op);
  }
#endif
#if defined(__AVX__)
  if constexpr (std::is_base_of_v<xsimd::avx, Arch> && std::is_same_v<T, float>) {
    return fold(op(Batch<T, xsimd::sse2>(_mm256_castps256_ps128(a)), Batch<T, xsimd::sse2>(_mm256_extractf128_ps(a, 1))), op);
  }
#endif
#if defined(__SSE2__)
  if constexpr (std::is_base_of_v<xsimd::sse2, Arch> && !std::is_base_of_v<xsimd::avx, Arch> && std::is_same_v<T, float>) {
    const Batch<T, Arch> two = op(a, Batch<T, Arch>(_mm_movehl_ps(a, a)));
    return op(_mm_cvtss_f32(two), _mm_cvtss_f32(_mm_shuffle_ps(two, two, 1)));
  }
#endif
  constexpr Index n = width<T, Arch>;
  T part[static_cast<std::size_t>(n)];
  simd::store(part, a);
  for (Index half = n / 2; half > 0; half /= 2) {
    for (Index i = 0; i < half; ++i) part[i] = op(part[i], part[i + half]);
  }
  return part[0];
}

}  // namespace detail

/// The sum of all elements in a fixed order.
template <class T, class Arch>
inline T sum(const Batch<T, Arch>& a) noexcept {
  return detail::fold(a, [](const auto& x, const auto& y) { return x + y; });
}

/// The largest element; any number where one is NaN.
template <class T, class Arch>
inline T highest(const Batch<T, Arch>& a) noexcept {
  return detail::fold(a, [](const auto& x, const auto& y) {
    if constexpr (std::is_same_v<std::remove_cvref_t<decltype(x)>, T>) {
      return std::max(x, y);
    } else {
      return xsimd::max(x, y);
    }
  });
}

/// One bit per element of a comparison, element i at position i.
template <class T, class Arch>
inline std::uint64_t bits(const xsimd::batch_bool<T, Arch>& a) noexcept {
  [[maybe_unused]] const auto all = static_cast<typename xsimd::batch_bool<T, Arch>::register_type>(a);
#if defined(__AVX512F__)
  if constexpr (is_avx512<Arch>) return static_cast<std::uint64_t>(all);
#endif
#if defined(__AVX__)
  if constexpr (!is_avx512<Arch> && std::is_base_of_v<xsimd::avx, Arch>) {
    if constexpr (std::is_same_v<T, float>) return static_cast<unsigned>(_mm256_movemask_ps(all));
    if constexpr (std::is_same_v<T, double>) return static_cast<unsigned>(_mm256_movemask_pd(all));
  }
#endif
#if defined(__SSE2__)
  if constexpr (!std::is_base_of_v<xsimd::avx, Arch> && std::is_base_of_v<xsimd::sse2, Arch>) {
    if constexpr (std::is_same_v<T, float>) return static_cast<unsigned>(_mm_movemask_ps(all));
    if constexpr (std::is_same_v<T, double>) return static_cast<unsigned>(_mm_movemask_pd(all));
  }
#endif
  constexpr std::size_t size = Batch<T, Arch>::size;
  bool part[size];
  a.store_unaligned(part);
  std::uint64_t word = 0;
  for (std::size_t i = 0; i < size; ++i) word |= std::uint64_t{part[i]} << i;
  return word;
}

/// The comparison whose element i is bit i.
template <class T, class Arch = Native>
inline xsimd::batch_bool<T, Arch> from_bits(std::uint64_t word) noexcept {
#if defined(__AVX512F__)
  if constexpr (is_avx512<Arch>) return static_cast<typename xsimd::batch_bool<T, Arch>::register_type>(word);
#endif
  using Int = std::conditional_t<sizeof(T) == 4, std::int32_t, std::int64_t>;
  constexpr std::size_t size = Batch<T, Arch>::size;
  constexpr auto element_bits = [] {
    std::array<Int, size> all{};
    for (std::size_t i = 0; i < size; ++i) all[i] = Int{1} << i;
    return all;
  }();
  const auto element = simd::load<Int, Arch>(element_bits.data());
  const xsimd::batch_bool<Int, Arch> set = (Batch<Int, Arch>(static_cast<Int>(word)) & element) == element;
  const typename xsimd::batch_bool<Int, Arch>::register_type all = set;
  typename xsimd::batch_bool<T, Arch>::register_type same;  // xsimd 8.1 cannot cast comparisons
  static_assert(sizeof(same) == sizeof(all));
  std::memcpy(&same, &all, sizeof(all));
  return same;
}

// Functions that formulas use. `max` and `min` of a NaN and a number are one of the two.
using xsimd::abs;
using xsimd::erf;
using xsimd::exp;
using xsimd::max;
using xsimd::min;
using xsimd::select;
using xsimd::tanh;

/// exp a for a <= 0, error below 1.5 units in the last place; 0 below -87, where the result would be denormal. NaN stays NaN.
/// Source: S. Moshier, Cephes Mathematical Library, expf; its polynomial in pairs.
template <class T, class Arch>
inline Batch<T, Arch> exp_nonpositive(const Batch<T, Arch>& a) noexcept {
  if constexpr (std::is_same_v<T, float>) {
    using Float = Batch<float, Arch>;
    using Int = Batch<std::int32_t, Arch>;
    // a = n ln 2 + f: adding 1.5 2^23 rounds to a whole number, which is then in the low bits.
    const Float whole(12582912.0f);
    const Float shifted = simd::fma(a, Float(1.44269504088896f), whole), n = shifted - whole;
    const Float f = simd::fma(n, Float(2.12194440e-4f), simd::fma(n, Float(-0.693359375f), a));
    const auto pair = [&f](float high, float low) { return simd::fma(Float(high), f, Float(low)); };
    const Float f2 = f * f;
    const Float high = simd::fma(pair(1.9875691500e-4f, 1.3981999507e-3f), f2, pair(8.3334519073e-3f, 4.1665795894e-2f));
    const Float p = simd::fma(high, f2, pair(1.6666665459e-1f, 5.0000001201e-1f));
    const Float mantissa = simd::fma(p, f2, f) + Float(1.0f);
    const Int exponent = xsimd::bitwise_cast<Int>(shifted) << 23;
    const Float value = xsimd::bitwise_cast<Float>(xsimd::bitwise_cast<Int>(mantissa) + exponent);
    return select(a >= Float(-87.0f), value, xsimd::max(Float(0.0f), a));  // of 0 and a NaN the second
  } else {
    return xsimd::exp(a);
  }
}

/// a / b, rounded correctly (the operator of xsimd 8.1 estimates it for floats on NEON).
template <class T, class Arch>
inline Batch<T, Arch> divide(const Batch<T, Arch>& a, const Batch<T, Arch>& b) noexcept {
#if defined(__aarch64__)
  if constexpr (std::is_base_of_v<xsimd::neon64, Arch> && std::is_same_v<T, float>) return vdivq_f32(a, b);
#endif
  return a / b;
}

/// The square root, rounded correctly (xsimd 8.1 estimates it on NEON).
template <class T, class Arch>
inline Batch<T, Arch> sqrt(const Batch<T, Arch>& a) noexcept {
#if defined(__aarch64__)
  if constexpr (std::is_base_of_v<xsimd::neon64, Arch> && std::is_same_v<T, float>) return vsqrtq_f32(a);
#endif
  return xsimd::sqrt(a);
}

/// As many floats as a register holds T, converted to T.
template <class T, class Arch = Native>
inline Batch<T, Arch> load_floats(const float* p) noexcept {
  if constexpr (std::is_same_v<T, float>) {
    return simd::load<float, Arch>(p);
  } else {
    T wide[static_cast<std::size_t>(width<T, Arch>)];
    for (Index i = 0; i < width<T, Arch>; ++i) wide[i] = static_cast<T>(p[i]);
    return simd::load<T, Arch>(wide);
  }
}

/// log a. The AVX-512BW version of xsimd 8.1 does not compile with g++ -O0; the one for plain AVX-512 is the same but for that.
template <class T, class Arch>
inline Batch<T, Arch> log(const Batch<T, Arch>& a) noexcept {
  if constexpr (is_avx512<Arch>) {
    using Plain = Batch<T, xsimd::avx512f>;
    return static_cast<typename Plain::register_type>(xsimd::log(Plain(static_cast<typename Plain::register_type>(a))));
  } else {
    return xsimd::log(a);
  }
}

/// 1 / (1 + exp(-a)).
template <class T, class Arch>
inline Batch<T, Arch> sigmoid(const Batch<T, Arch>& a) noexcept {
  return divide(Batch<T, Arch>(T(1)), Batch<T, Arch>(T(1)) + xsimd::exp(-a));
}

/// min(max(a, low), high); NaN stays NaN.
template <class T, class Arch>
inline Batch<T, Arch> clamp(const Batch<T, Arch>& a, T low, T high) noexcept {
  // x86 gives the second operand where either is NaN.
  return xsimd::min(Batch<T, Arch>(high), xsimd::max(Batch<T, Arch>(low), a));
}

}  // namespace tombola::inline TOMBOLA_ISA::simd
