/// \file
/// Fast noise from a counter-based stream: standard normals and logistic numbers, 64 at a time. The same for any number
/// of threads; the last bits may differ between instruction sets (frozen weights have their own, exact mapping).
#pragma once

#include <array>

#include "tombola/core/random.hpp"
#include "tombola/kernels/simd.hpp"

namespace tombola::inline TOMBOLA_ISA::kernels {

/// Noise comes in groups: number i of a stream is at position i mod 64 of group i / 64, and word w of Philox block
/// 16 g + b serves position 16 w + b of group g, whatever the width of a register.
inline constexpr Index noise_group = 64;

namespace detail {

/// The four words of Philox4x32-10 for as many consecutive blocks as a register has 32-bit elements.
/// 64-bit elements hold 32-bit values, even and odd blocks apart, because the machine multiplies 32 x 32 to 64 bits so.
template <class Arch>
std::array<simd::Batch<std::uint32_t, Arch>, 4> philox_blocks(const Stream& stream, std::uint32_t first) noexcept {
  using Wide = simd::Batch<std::uint64_t, Arch>;
  constexpr std::size_t wide = Wide::size;
  const Wide low_half(std::uint64_t{0xFFFFFFFFu}), m0(std::uint64_t{Philox::multiplier[0]}),
      m1(std::uint64_t{Philox::multiplier[1]});

  Wide c[2][4];
  for (std::size_t odd = 0; odd < 2; ++odd) {
    std::uint64_t number[wide];
    for (std::size_t i = 0; i < wide; ++i) number[i] = first + static_cast<std::uint32_t>(2 * i + odd);
    c[odd][0] = simd::load<std::uint64_t, Arch>(number);
    c[odd][1] = Wide(std::uint64_t{stream.id});
    c[odd][2] = Wide(std::uint64_t{stream.step});
    c[odd][3] = Wide(static_cast<std::uint64_t>(stream.purpose));
  }
  auto k0 = static_cast<std::uint32_t>(stream.seed);
  auto k1 = static_cast<std::uint32_t>(stream.seed >> 32);
  for (int round = 0; round < Philox::rounds; ++round) {
    const Wide key0(std::uint64_t{k0}), key1(std::uint64_t{k1});
    for (auto& block :
         c) {  // the high halves of words 1 and 3 are garbage until the end: every reader takes low halves
      const Wide p0 = simd::multiply_low_halves<Arch>(block[0], m0);
      const Wide p1 = simd::multiply_low_halves<Arch>(block[2], m1);
      block[0] = (p1 >> 32) ^ block[1] ^ key0;
      block[1] = p1;
      block[2] = (p0 >> 32) ^ block[3] ^ key1;
      block[3] = p0;
    }
    k0 += Philox::weyl[0];
    k1 += Philox::weyl[1];
  }
  std::array<simd::Batch<std::uint32_t, Arch>, 4> words;
  for (std::size_t w = 0; w < 4; ++w) {
    words[w] = xsimd::bitwise_cast<simd::Batch<std::uint32_t, Arch>>((c[0][w] & low_half) | (c[1][w] << 32));
  }
  return words;
}

/// (word | 1) / 2^32, in [2^-32, 1], rounded to float. `~word` gives 1 minus that, without cancellation.
template <class Arch>
simd::Batch<float, Arch> uniform(const simd::Batch<std::uint32_t, Arch>& word) noexcept {
  using Float = simd::Batch<float, Arch>;
  const auto halved =
      xsimd::bitwise_cast<simd::Batch<std::int32_t, Arch>>(word >> 1);  // signed: SSE2 converts no other
  return simd::fma(xsimd::to_float(halved), Float(0x1p-31f), Float(0x1p-32f));
}

/// log x for normal x > 0, error below 1 unit in the last place.
/// Source: S. Moshier, Cephes Mathematical Library, logf.
template <class Arch>
simd::Batch<float, Arch> log_positive(const simd::Batch<float, Arch>& x) noexcept {
  using Float = simd::Batch<float, Arch>;
  using Int = simd::Batch<std::int32_t, Arch>;
  // x = 2^e m with m in [sqrt(1/2), sqrt(2)): the offset makes the exponent field roll over at sqrt(1/2).
  constexpr std::int32_t root_half = 0x3F3504F3;
  const Int bits = xsimd::bitwise_cast<Int>(x) - Int(root_half);
  const Float e = xsimd::to_float(bits >> 23);
  const Float f = xsimd::bitwise_cast<Float>((bits & Int(0x007FFFFF)) + Int(root_half)) - Float(1.0f);
  Float p(7.0376836292e-2f);
  for (const float coefficient : {-1.1514610310e-1f, 1.1676998740e-1f, -1.2420140846e-1f, 1.4249322787e-1f,
                                  -1.6668057665e-1f, 2.0000714765e-1f, -2.4999993993e-1f, 3.3333331174e-1f}) {
    p = simd::fma(p, f, Float(coefficient));
  }
  const Float f2 = f * f;
  const Float tail = simd::fma(p, f * f2, f2 * Float(-0.5f));
  return simd::fma(e, Float(0.693147180559945f), f + tail);
}

/// Two independent standard normals from two words.
/// Source: Box and Muller, "A note on the generation of random normal deviates", Ann. Math. Statist. 1958.
template <class Arch>
void normal_pair(const simd::Batch<std::uint32_t, Arch>& radius_word,
                 const simd::Batch<std::uint32_t, Arch>& angle_word, float* first, float* second) noexcept {
  using Float = simd::Batch<float, Arch>;
  using Word = simd::Batch<std::uint32_t, Arch>;
  const Float radius =
      xsimd::sqrt(simd::max(log_positive<Arch>(uniform<Arch>(radius_word)) * Float(-2.0f), Float(0.0f)));
  // An angle t in [-pi/4, pi/4] from the low 30 bits; the top two bits choose which of the four arcs of the circle it is on:
  // one turns cos t negative, one swaps the coordinates.
  const auto low = xsimd::bitwise_cast<simd::Batch<std::int32_t, Arch>>(angle_word & Word(0x3FFFFFFFu));
  const Float t = simd::fma(xsimd::to_float(low), Float(1.57079632679f * 0x1p-30f), Float(-0.785398163397f));
  const Float t2 = t * t;
  Float sine = simd::fma(t2, Float(-1.9515295891e-4f), Float(8.3321608736e-3f));
  sine = simd::fma(sine, t2, Float(-1.6666654611e-1f));
  sine = simd::fma(sine * t2, t, t);
  Float cosine = simd::fma(t2, Float(2.443315711809948e-5f), Float(-1.388731625493765e-3f));
  cosine = simd::fma(cosine, t2, Float(4.166664568298827e-2f));
  cosine = simd::fma(cosine * t2, t2, simd::fma(t2, Float(-0.5f), Float(1.0f)));
  const Word c = xsimd::bitwise_cast<Word>(cosine) ^ (angle_word & Word(0x80000000u));
  const Word s = xsimd::bitwise_cast<Word>(sine);
  const auto all_ones = xsimd::bitwise_cast<simd::Batch<std::int32_t, Arch>>(angle_word << 1) >> 31;
  const Word exchange = (c ^ s) & xsimd::bitwise_cast<Word>(all_ones);
  simd::store(first, radius * xsimd::bitwise_cast<Float>(c ^ exchange));
  simd::store(second, radius * xsimd::bitwise_cast<Float>(s ^ exchange));
}

}  // namespace detail

/// The 64 standard normals of one group. Moments are exact to rounding; |n| <= sqrt(64 ln 2) = 6.66.
struct NormalNoise {
  template <class Arch>
  static void fill(const Stream& stream, Index group, float* out) noexcept {
    constexpr Index lanes = simd::width<std::uint32_t, Arch>;
    for (Index b = 0; b < 16; b += lanes) {
      const auto words = detail::philox_blocks<Arch>(stream, static_cast<std::uint32_t>(16 * group + b));
      detail::normal_pair<Arch>(words[0], words[1], out + b, out + 16 + b);
      detail::normal_pair<Arch>(words[2], words[3], out + 32 + b, out + 48 + b);
    }
  }
};

/// The 64 standard logistic numbers log u - log(1 - u) of one group; |n| <= 32 ln 2 = 22.2.
struct LogisticNoise {
  template <class Arch>
  static void fill(const Stream& stream, Index group, float* out) noexcept {
    constexpr Index lanes = simd::width<std::uint32_t, Arch>;
    for (Index b = 0; b < 16; b += lanes) {
      const auto words = detail::philox_blocks<Arch>(stream, static_cast<std::uint32_t>(16 * group + b));
      for (std::size_t w = 0; w < 4; ++w) {
        const auto u = detail::uniform<Arch>(words[w]);
        const auto v = detail::uniform<Arch>(~words[w]);  // 1 - u
        simd::store(out + 16 * static_cast<Index>(w) + b,
                    detail::log_positive<Arch>(u) - detail::log_positive<Arch>(v));
      }
    }
  }
};

/// Fills `out` with numbers [first, first + count) of the stream. `first` is a multiple of 64.
template <class Noise, class Arch = simd::Native>
void fill_noise(const Stream& stream, Index first, Index count, float* out) noexcept {
  Index done = 0;
  for (; done + noise_group <= count; done += noise_group) {
    Noise::template fill<Arch>(stream, (first + done) / noise_group, out + done);
  }
  if (done < count) {
    float group[noise_group];
    Noise::template fill<Arch>(stream, (first + done) / noise_group, group);
    std::memcpy(out + done, group, static_cast<std::size_t>(count - done) * sizeof(float));
  }
}

}  // namespace tombola::inline TOMBOLA_ISA::kernels
