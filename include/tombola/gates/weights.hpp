/// \file
/// FrozenWeights: weights that a seed determines to the last bit, on every machine, compiler and instruction set.
/// docs/ticket-format.md specifies the same mappings for readers in other languages.
#pragma once

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <cstdint>
#include <string_view>

#include "tombola/core/crc64.hpp"
#include "tombola/core/parallel.hpp"
#include "tombola/core/random.hpp"
#include "tombola/core/view.hpp"
#include "tombola/gates/normal_quantile.hpp"

namespace tombola::inline TOMBOLA_ISA {

/// The distribution of the frozen weights. The values are part of the ticket format.
enum class WeightInit : std::uint8_t {
  uniform = 0,          ///< uniform in (-scale, scale); by default scale = sqrt(6 / fan_in)
  signed_constant = 1,  ///< scale or -scale; by default scale = sqrt(2 / fan_in)
  kaiming_normal = 2,   ///< normal with standard deviation scale; by default scale = sqrt(2 / fan_in)
  glorot_uniform = 3,   ///< uniform in (-scale, scale); by default scale = sqrt(6 / (fan_in + fan_out))
};

/// The names of the initialisations; element i is the name of value i.
inline constexpr std::array<std::string_view, 4> weight_init_names{"uniform", "signed_constant", "kaiming_normal", "glorot_uniform"};
inline std::string_view name_of(WeightInit init) noexcept { return weight_init_names[static_cast<std::size_t>(init)]; }

namespace detail {
inline void check_init(WeightInit init) {
  const auto value = static_cast<std::size_t>(init);
  require(value < weight_init_names.size(), "weights: expected an initialisation from 0 to 3, got ", value);
}
}  // namespace detail

/// Weights as the seed draws them: weight i, row-major in torchvision's shape ([out, in], [out, in / groups, kh, kw]),
/// is a function of word i of Stream{seed, Purpose::weights, id, 0} and of the scale.
struct FrozenWeights {
  std::uint64_t seed = 0;
  std::uint32_t id = 0;  ///< the number of the layer, different for every layer of a network
  WeightInit init = WeightInit::uniform;
  float scale = 1.0f;  ///< bound, constant or standard deviation: see WeightInit

  friend bool operator==(const FrozenWeights&, const FrozenWeights&) = default;
};

/// Scales lie in [2^-64, 2^64], so that no weight is subnormal: denormals-are-zero modes change nothing.
inline constexpr float least_weight_scale = 0x1p-64f, greatest_weight_scale = 0x1p64f;
/// A stream has 2^34 words.
inline constexpr Index most_weights = Index{1} << 34;

/// The scale that the literature uses, computed in double and rounded once: uniform sqrt(6 / fan_in), signed_constant
/// and kaiming_normal sqrt(2 / fan_in), glorot_uniform sqrt(6 / (fan_in + fan_out)).
/// fan_in is the number of inputs that one output sums over, fan_out the number of outputs that one input feeds.
/// Throws `std::invalid_argument` unless both are in [1, 2^34].
/// Source: He et al., "Delving deep into rectifiers", ICCV 2015; Glorot and Bengio, AISTATS 2010;
/// Ramanujan et al., "What's hidden in a randomly weighted neural network?", CVPR 2020 (signed constant).
inline float default_scale(WeightInit init, Index fan_in, Index fan_out) {
  require(fan_in >= 1 && fan_in <= most_weights && fan_out >= 1 && fan_out <= most_weights,
          "weights: expected a fan-in and a fan-out of 1 to 2^34, got ", fan_in, " and ", fan_out);
  detail::check_init(init);
  const bool two_sided = init == WeightInit::glorot_uniform;
  const bool bounded = two_sided || init == WeightInit::uniform;  // a bound is sqrt(3) standard deviations
  const auto fans = static_cast<double>(two_sided ? fan_in + fan_out : fan_in);
  return static_cast<float>(std::sqrt((bounded ? 6.0 : 2.0) / fans));
}

namespace detail {

/// Words that are worked on at once: they stay in the first cache.
inline constexpr Index weight_tile = 1024;

/// 2k + 1 - 2^24 for the upper 24 bits k of the word: odd, symmetric about zero, exact in float.
inline std::int32_t odd_integer(std::uint32_t word) noexcept {
  return static_cast<std::int32_t>(word >> 7 | 1) - (1 << 24);
}

template <class T>
void uniform_weights(const std::uint32_t* words, Index count, float scale, T* out) noexcept {
  const Rounding rounded;
  const float step = scale * 0x1p-24f;
  for (Index i = 0; i < count; ++i) out[i] = rounded(static_cast<float>(odd_integer(words[i])) * step);
}

template <class T>
void signed_weights(const std::uint32_t* words, Index count, float scale, T* out) noexcept {
  const auto magnitude = std::bit_cast<std::uint32_t>(scale);
  for (Index i = 0; i < count; ++i) out[i] = std::bit_cast<float>((words[i] & 0x80000000u) | magnitude);
}

template <class T>
void normal_weights(const std::uint32_t* words, Index count, float scale, T* out) noexcept {
  constexpr std::int32_t last_central = 14260633;  // the greatest odd m with m 2^-25 <= .425
  const NormalQuantile quantile;
  const double deviation = scale;
  std::uint16_t tails[weight_tile];
  Index tail_count = 0;
  for (Index i = 0; i < count; ++i) {
    tails[tail_count] = static_cast<std::uint16_t>(i);
    tail_count += std::abs(odd_integer(words[i])) > last_central;
  }
  // The loop over all has no branch, so that it is vectorised; the 15% in the tails are overwritten.
  for (Index i = 0; i < count; ++i) {
    out[i] = static_cast<float>(deviation * quantile.central(odd_integer(words[i]) * 0x1p-25));
  }
  for (Index t = 0; t < tail_count; ++t) {
    const Index i = tails[t];
    out[i] = static_cast<float>(deviation * quantile.tail(odd_integer(words[i]) * 0x1p-25));
  }
}

template <class T>
void draw_weights(const FrozenWeights& weights, Index first, Index count, T* out) noexcept {
  const Stream stream{weights.seed, Purpose::weights, weights.id, 0};
  std::uint32_t words[weight_tile];
  for (const Index last = first + count; first < last;) {
    const Index skip = first % 4;
    const Index taken = std::min(weight_tile - skip, last - first);
    const auto block = static_cast<std::uint32_t>(first / 4);
    for (std::uint32_t b = 0; b < static_cast<std::uint32_t>((skip + taken + 3) / 4); ++b) {
      const Philox::Words four = stream.block(block + b);
      for (std::uint32_t i = 0; i < 4; ++i) words[4 * b + i] = four[i];
    }
    switch (weights.init) {
    case WeightInit::uniform:
    case WeightInit::glorot_uniform:
      uniform_weights(words + skip, taken, weights.scale, out);
      break;
    case WeightInit::signed_constant:
      signed_weights(words + skip, taken, weights.scale, out);
      break;
    case WeightInit::kaiming_normal:
      normal_weights(words + skip, taken, weights.scale, out);
      break;
    }
    first += taken;
    out += taken;
  }
}

inline void check_weights(const FrozenWeights& weights, Index first, Index count) {
  check_init(weights.init);
  require(weights.scale >= least_weight_scale && weights.scale <= greatest_weight_scale,
          "weights: expected a scale of 2^-64 to 2^64, got ", weights.scale);
  require(first >= 0 && count >= 0 && first <= most_weights && count <= most_weights - first,
          "weights: expected a range within 2^34 weights, got ", count, " from ", first);
}

}  // namespace detail

/// out[i] = weight first + i. `out` of any shape; T is float, or double for the same float values widened.
/// The same bits for any threads, compiler, instruction set, optimisation and contraction.
/// Throws `std::invalid_argument` unless the scale is in [2^-64, 2^64] and the range within 2^34 weights.
template <class T>
void draw(const FrozenWeights& weights, Index first, View<T> out, const Threads& threads = 1) {
  detail::check_weights(weights, first, out.size());
  parallel_ranges(threads, out.size(), 64 * detail::weight_tile, [&](Range range) noexcept {
    detail::draw_weights(weights, first + range.first, range.size(), out.data() + range.first);
  });
}

/// A 64-bit hash of weights, fed in pieces in order: the CRC-64/XZ of their float32 bit patterns, little-endian.
/// Doubles are rounded to float first, so a widened model has the same hash.
class WeightHash {
 public:
  template <class T>
  void update(View<T> weights) noexcept {
    std::array<std::uint8_t, 4096> bytes;
    for (Index first = 0; first < weights.size(); first += 1024) {
      const Index count = std::min<Index>(1024, weights.size() - first);
      for (Index i = 0; i < count; ++i) {
        const auto word = std::bit_cast<std::uint32_t>(static_cast<float>(weights[first + i]));
        for (Index k = 0; k < 4; ++k)
          bytes[static_cast<std::size_t>(4 * i + k)] = static_cast<std::uint8_t>(word >> (8 * k));
      }
      crc_.update({bytes.data(), static_cast<std::size_t>(4 * count)});
    }
  }
  std::uint64_t value() const noexcept { return crc_.value(); }

 private:
  Crc64 crc_;
};

/// The hash of weights in memory.
template <class T>
std::uint64_t hash_weights(View<T> weights) noexcept {
  WeightHash hash;
  hash.update(weights);
  return hash.value();
}

/// The hash of weights 0 to count - 1, drawn piece by piece. Throws as `draw` does.
inline std::uint64_t hash_weights(const FrozenWeights& weights, Index count) {
  detail::check_weights(weights, 0, count);
  WeightHash hash;
  float tile[detail::weight_tile];
  for (Index first = 0; first < count; first += detail::weight_tile) {
    const Index taken = std::min(detail::weight_tile, count - first);
    detail::draw_weights(weights, first, taken, tile);
    hash.update(View<const float>(tile, {taken}));
  }
  return hash.value();
}

}  // namespace tombola::inline TOMBOLA_ISA
