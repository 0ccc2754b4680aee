/// \file
/// The transpose of a block held in registers: what packing a matrix against its storage order is made of.
#pragma once

#include "tombola/kernels/simd.hpp"

namespace tombola::inline TOMBOLA_ISA::simd {

namespace detail {

/// How many 128-bit lanes a register has, as far as this file knows how to move them; 0: it does not.
template <class T, class Arch>
constexpr int lanes() noexcept {
  constexpr std::size_t bytes = sizeof(T) * Batch<T, Arch>::size;
  if constexpr (!std::is_same_v<T, float> && !std::is_same_v<T, double>) return 0;
#if defined(__AVX512F__)
  if constexpr (is_avx512<Arch>) return 4;
#endif
#if defined(__AVX__)
  if constexpr (std::is_base_of_v<xsimd::avx, Arch>) return 2;
#endif
  return bytes == 16 ? 1 : 0;
}

/// Interleaves the low (high) halves of a and b within every 128-bit lane (xsimd 8.1's zip does so, later ones do not).
template <bool high, class T, class Arch>
inline Batch<T, Arch> unpack(const Batch<T, Arch>& a, const Batch<T, Arch>& b) noexcept {
#if defined(__AVX512F__)
  if constexpr (is_avx512<Arch>) {
    if constexpr (std::is_same_v<T, float>) {
      return high ? _mm512_unpackhi_ps(a, b) : _mm512_unpacklo_ps(a, b);
    } else {
      return high ? _mm512_unpackhi_pd(a, b) : _mm512_unpacklo_pd(a, b);
    }
  } else
#endif
#if defined(__AVX__)
      if constexpr (lanes<T, Arch>() == 2) {
    if constexpr (std::is_same_v<T, float>) {
      return high ? _mm256_unpackhi_ps(a, b) : _mm256_unpacklo_ps(a, b);
    } else {
      return high ? _mm256_unpackhi_pd(a, b) : _mm256_unpacklo_pd(a, b);
    }
  } else
#endif
    return high ? xsimd::zip_hi(a, b) : xsimd::zip_lo(a, b);
}

/// Transposes the matrix whose elements are the 128-bit lanes of `rows[0], rows[stride], ...`.
template <class T, class Arch>
inline void transpose_lanes([[maybe_unused]] Batch<T, Arch>* rows, [[maybe_unused]] Index stride) noexcept {
#if defined(__AVX512F__)
  if constexpr (is_avx512<Arch>) {
    const auto shuffle = [](const Batch<T, Arch>& a, const Batch<T, Arch>& b, auto odd) -> Batch<T, Arch> {
      constexpr int pick = odd() ? 0xDD : 0x88;  // lanes 1, 3 or 0, 2 of a, then of b
      if constexpr (std::is_same_v<T, float>) {
        return _mm512_shuffle_f32x4(a, b, pick);
      } else {
        return _mm512_shuffle_f64x2(a, b, pick);
      }
    };
    Batch<T, Arch>&a = rows[0], &b = rows[stride], &c = rows[2 * stride], &d = rows[3 * stride];
    const auto ab_even = shuffle(a, b, std::false_type{}), ab_odd = shuffle(a, b, std::true_type{});
    const auto cd_even = shuffle(c, d, std::false_type{}), cd_odd = shuffle(c, d, std::true_type{});
    a = shuffle(ab_even, cd_even, std::false_type{});
    c = shuffle(ab_even, cd_even, std::true_type{});
    b = shuffle(ab_odd, cd_odd, std::false_type{});
    d = shuffle(ab_odd, cd_odd, std::true_type{});
  }
#endif
#if defined(__AVX__)
  if constexpr (lanes<T, Arch>() == 2) {
    const Batch<T, Arch> a = rows[0], b = rows[stride];
    if constexpr (std::is_same_v<T, float>) {
      rows[0] = _mm256_permute2f128_ps(a, b, 0x20);
      rows[stride] = _mm256_permute2f128_ps(a, b, 0x31);
    } else {
      rows[0] = _mm256_permute2f128_pd(a, b, 0x20);
      rows[stride] = _mm256_permute2f128_pd(a, b, 0x31);
    }
  }
#endif
}

/// Transposes, within each 128-bit lane, the square blocks of `count` rows.
template <class T, class Arch>
inline void transpose_in_lanes(Batch<T, Arch>* rows, Index count) noexcept {
  constexpr Index in_lane = width<T, Arch> / lanes<T, Arch>();
  for (Index i = 0; i < count; i += in_lane) {
    Batch<T, Arch>* r = rows + i;
    if constexpr (in_lane == 4) {
      const auto low_02 = unpack<false>(r[0], r[2]), high_02 = unpack<true>(r[0], r[2]);
      const auto low_13 = unpack<false>(r[1], r[3]), high_13 = unpack<true>(r[1], r[3]);
      r[0] = unpack<false>(low_02, low_13);
      r[1] = unpack<true>(low_02, low_13);
      r[2] = unpack<false>(high_02, high_13);
      r[3] = unpack<true>(high_02, high_13);
    } else {
      const auto low = unpack<false>(r[0], r[1]);
      r[1] = unpack<true>(r[0], r[1]);
      r[0] = low;
    }
  }
}

}  // namespace detail

/// rows[i][j] <- rows[j][i] for a block of width x width elements.
template <class T, class Arch>
inline void transpose(Batch<T, Arch> (&rows)[static_cast<std::size_t>(width<T, Arch>)]) noexcept {
  constexpr Index n = width<T, Arch>;
  constexpr int lanes = detail::lanes<T, Arch>();
  if constexpr (lanes == 0) {
    T values[n * n], transposed[n * n];
    for (Index i = 0; i < n; ++i) simd::store(values + i * n, rows[i]);
    for (Index i = 0; i < n * n; ++i) transposed[i] = values[i % n * n + i / n];
    for (Index i = 0; i < n; ++i) rows[i] = simd::load<T, Arch>(transposed + i * n);
  } else {
    constexpr Index in_lane = n / lanes;
    detail::transpose_in_lanes<T, Arch>(rows, n);  // first square blocks within lanes, then the lanes themselves
    for (Index j = 0; j < in_lane; ++j) detail::transpose_lanes<T, Arch>(rows + j, in_lane);
  }
}

/// Transposes a block of half as many rows: into rows[i] come its column i and, as the upper half, its column width / 2 + i.
template <class T, class Arch>
inline void transpose_half(Batch<T, Arch> (&rows)[static_cast<std::size_t>(width<T, Arch> / 2)]) noexcept {
  constexpr Index n = width<T, Arch>, half = n / 2;
#if defined(__AVX512F__)
  if constexpr (is_avx512<Arch> && std::is_same_v<T, float>) {
    detail::transpose_in_lanes<T, Arch>(rows, half);
    const auto pick = [](const Batch<T, Arch>& a, __m512i pairs, const Batch<T, Arch>& b) -> Batch<T, Arch> {
      return _mm512_castpd_ps(_mm512_permutex2var_pd(_mm512_castps_pd(a), pairs, _mm512_castps_pd(b)));
    };
    const __m512i even = _mm512_setr_epi64(0, 1, 8, 9, 4, 5, 12, 13), odd = _mm512_setr_epi64(2, 3, 10, 11, 6, 7, 14, 15);  // lanes 0, 2 or 1, 3
    for (Index i = 0; i < 4; ++i) {
      const Batch<T, Arch> a = rows[i], b = rows[4 + i];
      rows[i] = pick(a, even, b);
      rows[4 + i] = pick(a, odd, b);
    }
    return;
  }
#endif
  T values[half * n], transposed[n * half];
  for (Index i = 0; i < half; ++i) simd::store(values + i * n, rows[i]);
  for (Index i = 0; i < half * n; ++i) transposed[i] = values[i % half * n + i / half % 2 * half + i / n];
  for (Index i = 0; i < half; ++i) rows[i] = simd::load<T, Arch>(transposed + i * n);
}

}  // namespace tombola::inline TOMBOLA_ISA::simd
