/// \file
/// Fast noise from a counter-based stream: standard normals and logistic numbers. The same for any number
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

/// The keys of Philox4x32-10, round by round, as 64-bit elements.
struct PhiloxKeys {
  std::uint64_t even[Philox::rounds], odd[Philox::rounds];

  explicit PhiloxKeys(std::uint64_t seed) noexcept {
    auto k0 = static_cast<std::uint32_t>(seed), k1 = static_cast<std::uint32_t>(seed >> 32);
    for (int round = 0; round < Philox::rounds; ++round) {
      even[round] = k0;
      odd[round] = k1;
      k0 += Philox::weyl[0];
      k1 += Philox::weyl[1];
    }
  }
};

/// Four words of each of as many consecutive blocks as a register has 32-bit elements.
template <class Arch>
using PhiloxWords = std::array<simd::Batch<std::uint32_t, Arch>, 4>;

/// Philox4x32-10 for consecutive blocks from `first` on, some registers of them side by side: one alone waits for its own products. A round of
/// one register at a time, so that the processor finds other work between them. Borrows the keys.
template <class Arch>
class PhiloxSteps {
  using Wide = simd::Batch<std::uint64_t, Arch>;

 public:
  static constexpr std::size_t sets = simd::is_avx512<Arch> ? 2 : 1;  ///< registers of blocks
  static constexpr std::size_t count = sets * Philox::rounds;         ///< steps

  [[gnu::always_inline]] PhiloxSteps(const Stream& stream, const PhiloxKeys& keys, std::uint32_t first) noexcept : keys_(keys) {
    constexpr std::size_t wide = Wide::size;
    constexpr auto even_blocks = [] {
      std::array<std::uint64_t, wide> numbers{};
      for (std::size_t i = 0; i < wide; ++i) numbers[i] = 2 * i;
      return numbers;
    }();
#pragma GCC unroll 2
    for (std::size_t set = 0; set < sets; ++set) {
#pragma GCC unroll 2
      for (std::size_t odd = 0; odd < 2; ++odd) {
        auto& c = counters_[set][odd];
        c[0] = simd::load<std::uint64_t, Arch>(even_blocks.data()) +
               Wide(std::uint64_t{first + static_cast<std::uint32_t>(2 * wide * set + odd)});
        c[1] = Wide(std::uint64_t{stream.id});
        c[2] = Wide(std::uint64_t{stream.step});
        c[3] = Wide(static_cast<std::uint64_t>(stream.purpose));
      }
    }
  }

  /// The next of `count` steps.
  [[gnu::always_inline]] void operator()() noexcept {
    const std::size_t round = done_ / sets;
    const Wide even(keys_.even[round]), odd(keys_.odd[round]), m0(std::uint64_t{Philox::multiplier[0]}), m1(std::uint64_t{Philox::multiplier[1]});
#pragma GCC unroll 2
    for (auto& c : counters_[done_ % sets]) {  // the high halves of words 1 and 3 are garbage: every reader takes low halves
      const Wide p0 = simd::multiply_low_halves<Arch>(c[0], m0), p1 = simd::multiply_low_halves<Arch>(c[2], m1);
      c[0] = (p1 >> 32) ^ c[1] ^ even;
      c[1] = p1;
      c[2] = (p0 >> 32) ^ c[3] ^ odd;
      c[3] = p0;
    }
    ++done_;
  }

  /// After all steps.
  [[gnu::always_inline]] std::array<PhiloxWords<Arch>, sets> words() const noexcept {
    const Wide low_half(std::uint64_t{0xFFFFFFFFu});
    std::array<PhiloxWords<Arch>, sets> words;
#pragma GCC unroll 2
    for (std::size_t set = 0; set < sets; ++set) {
#pragma GCC unroll 4
      for (std::size_t w = 0; w < 4; ++w) {
        words[set][w] = xsimd::bitwise_cast<simd::Batch<std::uint32_t, Arch>>((counters_[set][0][w] & low_half) | (counters_[set][1][w] << 32));
      }
    }
    return words;
  }

 private:
  const PhiloxKeys& keys_;
  std::size_t done_ = 0;
  Wide counters_[sets][2][4];  // 64-bit elements with 32-bit values, even and odd blocks apart, because the machine multiplies 32 x 32 to 64 bits so
};

/// (word | 1) / 2^32, in [2^-32, 1], rounded to float. `~word` gives 1 minus that, without cancellation.
template <class Arch>
[[gnu::always_inline]] inline simd::Batch<float, Arch> uniform(const simd::Batch<std::uint32_t, Arch>& word) noexcept {
  using Float = simd::Batch<float, Arch>;
  const auto halved =
      xsimd::bitwise_cast<simd::Batch<std::int32_t, Arch>>(word >> 1);  // signed: SSE2 converts no other
  return simd::fma(xsimd::to_float(halved), Float(0x1p-31f), Float(0x1p-32f));
}

/// log x for normal x > 0, error below 1 unit in the last place.
/// Source: S. Moshier, Cephes Mathematical Library, logf.
template <class Arch>
[[gnu::always_inline]] inline simd::Batch<float, Arch> log_positive(const simd::Batch<float, Arch>& x) noexcept {
  using Float = simd::Batch<float, Arch>;
  using Int = simd::Batch<std::int32_t, Arch>;
  // x = 2^e m with m in [sqrt(1/2), sqrt(2)): the offset makes the exponent field roll over at sqrt(1/2).
  constexpr std::int32_t root_half = 0x3F3504F3;
  const Int bits = xsimd::bitwise_cast<Int>(x) - Int(root_half);
  const Float e = xsimd::to_float(bits >> 23);
  const Float f = xsimd::bitwise_cast<Float>((bits & Int(0x007FFFFF)) + Int(root_half)) - Float(1.0f);
  // The polynomial in pairs, and pairs of pairs: half as long a chain of dependent steps as from the highest term down.
  const Float f2 = f * f, f4 = f2 * f2;
  const auto pair = [&f](float high, float low) { return simd::fma(Float(high), f, Float(low)); };
  const Float low = simd::fma(pair(-1.6668057665e-1f, 2.0000714765e-1f), f2, pair(-2.4999993993e-1f, 3.3333331174e-1f));
  const Float high = simd::fma(pair(-1.1514610310e-1f, 1.1676998740e-1f), f2, pair(-1.2420140846e-1f, 1.4249322787e-1f));
  const Float p = simd::fma(simd::fma(Float(7.0376836292e-2f), f4, high), f4, low);
  const Float tail = simd::fma(p, f * f2, f2 * Float(-0.5f));
  return simd::fma(e, Float(0.693147180559945f), f + tail);
}

/// Two independent standard normals from two words; calls `meanwhile` five times.
/// Source: Box and Muller, "A note on the generation of random normal deviates", Ann. Math. Statist. 1958.
template <class Arch, class Meanwhile>
[[gnu::always_inline]] inline void normal_pair(const simd::Batch<std::uint32_t, Arch>& radius_word, const simd::Batch<std::uint32_t, Arch>& angle_word,
                                               float* first, float* second, Meanwhile& meanwhile) noexcept {
  using Float = simd::Batch<float, Arch>;
  using Word = simd::Batch<std::uint32_t, Arch>;
  const Float logarithm = log_positive<Arch>(uniform<Arch>(radius_word));
  meanwhile();
  meanwhile();
  const Float radius = simd::sqrt(simd::max(logarithm * Float(-2.0f), Float(0.0f)));
  // An angle t in [-pi/4, pi/4] from the low 30 bits; the top two bits choose which of the four arcs of the circle it is on:
  // one turns cos t negative, one swaps the coordinates.
  const auto low = xsimd::bitwise_cast<simd::Batch<std::int32_t, Arch>>(angle_word & Word(0x3FFFFFFFu));
  const Float t = simd::fma(xsimd::to_float(low), Float(1.57079632679f * 0x1p-30f), Float(-0.785398163397f));
  const Float t2 = t * t;
  Float sine = simd::fma(t2, Float(-1.9515295891e-4f), Float(8.3321608736e-3f));
  sine = simd::fma(sine, t2, Float(-1.6666654611e-1f));
  sine = simd::fma(sine * t2, t, t);
  meanwhile();
  Float cosine = simd::fma(t2, Float(2.443315711809948e-5f), Float(-1.388731625493765e-3f));
  cosine = simd::fma(cosine, t2, Float(4.166664568298827e-2f));
  cosine = simd::fma(cosine * t2, t2, simd::fma(t2, Float(-0.5f), Float(1.0f)));
  meanwhile();
  const Word c = xsimd::bitwise_cast<Word>(cosine) ^ (angle_word & Word(0x80000000u));
  const Word s = xsimd::bitwise_cast<Word>(sine);
  const auto all_ones = xsimd::bitwise_cast<simd::Batch<std::int32_t, Arch>>(angle_word << 1) >> 31;
  const Word exchange = (c ^ s) & xsimd::bitwise_cast<Word>(all_ones);
  simd::store(first, radius * xsimd::bitwise_cast<Float>(c ^ exchange));
  simd::store(second, radius * xsimd::bitwise_cast<Float>(s ^ exchange));
  meanwhile();
}

}  // namespace detail

// What makes numbers of words calls `meanwhile` ten times: once for each of Philox's rounds.
static_assert(Philox::rounds == 10);

/// Standard normals. Moments are exact to rounding; |n| <= sqrt(64 ln 2) = 6.66.
struct NormalNoise {
  template <class Arch, class Meanwhile>
  [[gnu::always_inline]] static void transform(const detail::PhiloxWords<Arch>& words, float* out, Meanwhile& meanwhile) noexcept {
    detail::normal_pair<Arch>(words[0], words[1], out, out + 16, meanwhile);
    detail::normal_pair<Arch>(words[2], words[3], out + 32, out + 48, meanwhile);
  }
};

/// Standard logistic numbers log u - log(1 - u); |n| <= 32 ln 2 = 22.2.
struct LogisticNoise {
  template <class Arch, class Meanwhile>
  [[gnu::always_inline]] static void transform(const detail::PhiloxWords<Arch>& words, float* out, Meanwhile& meanwhile) noexcept {
#pragma GCC unroll 4
    for (std::size_t w = 0; w < 4; ++w) {
      const auto u = detail::uniform<Arch>(words[w]);
      const auto v = detail::uniform<Arch>(~words[w]);  // 1 - u
      simd::store(out + 16 * w, detail::log_positive<Arch>(u) - detail::log_positive<Arch>(v));
      meanwhile();
      meanwhile();
      if (w % 2 == 0) meanwhile();
    }
  }
};

/// Reads the numbers of one stream in their order, two groups at a time: while words become numbers, the next words are computed.
template <class Noise, class Arch = simd::Native>
class NoiseReader {
 public:
  static constexpr Index block = 2 * noise_group;  ///< numbers read at a time

  /// Begins with number `first`, a multiple of 64.
  [[gnu::always_inline]] NoiseReader(const Stream& stream, Index first) noexcept
      : stream_(stream), keys_(stream.seed), next_(static_cast<std::uint32_t>(first / 4)) {
    Steps steps = next_steps();
#pragma GCC unroll 20
    for (std::size_t step = 0; step < Steps::count; ++step) steps();
    words_ = steps.words();
  }

  /// out[0 ... block) = the next numbers.
  [[gnu::always_inline]] void read(float* out) noexcept {
    for (Index b = 0; b < block / 4;) {
      Steps meanwhile = next_steps();
#pragma GCC unroll 2
      for (std::size_t set = 0; set < Steps::sets; ++set, b += lanes) {
        Noise::template transform<Arch>(words_[set], out + b / 16 * noise_group + b % 16, meanwhile);
      }
      words_ = meanwhile.words();
    }
  }

 private:
  using Steps = detail::PhiloxSteps<Arch>;
  static constexpr Index lanes = simd::width<std::uint32_t, Arch>;

  [[gnu::always_inline]] Steps next_steps() noexcept {
    const std::uint32_t first = next_;
    next_ += static_cast<std::uint32_t>(Steps::sets * lanes);
    return Steps(stream_, keys_, first);
  }

  Stream stream_;
  detail::PhiloxKeys keys_;
  std::uint32_t next_;  // the block that the words after `words_` begin with
  std::array<detail::PhiloxWords<Arch>, Steps::sets> words_;
};

/// Fills `out` with numbers [first, first + count) of the stream. `first` is a multiple of 64.
template <class Noise, class Arch = simd::Native>
void fill_noise(const Stream& stream, Index first, Index count, float* out) noexcept {
  using Reader = NoiseReader<Noise, Arch>;
  Reader reader(stream, first);
  Index done = 0;
  for (; done + Reader::block <= count; done += Reader::block) reader.read(out + done);
  if (done < count) {
    float block[Reader::block];
    reader.read(block);
    std::memcpy(out + done, block, static_cast<std::size_t>(count - done) * sizeof(float));
  }
}

}  // namespace tombola::inline TOMBOLA_ISA::kernels
