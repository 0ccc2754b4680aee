/// \file
/// The coder of masks: static, interleaved, binary range asymmetric numeral systems (rANS), in integers only.
/// docs/ticket-format.md specifies the bytes.
#pragma once

#include <algorithm>
#include <array>
#include <bit>
#include <cstdint>
#include <vector>

#include "tombola/core/bits.hpp"
#include "tombola/core/file.hpp"

namespace tombola::inline TOMBOLA_ISA::ticket {

namespace detail {

inline constexpr int probability_bits = 16;
/// A state lies in [2^16, 2^32) between gates; this is also the state that the encoder starts from.
inline constexpr std::uint32_t least_state = 1u << 16;

/// How many states take turns: more of them decode faster, each costs two bytes.
inline int state_count(Index size) noexcept { return size < Index{1} << 16 ? 1 : size < Index{1} << 20 ? 8 : 32; }

/// The share of kept gates in units of 2^-16, rounded half up, but at least one unit for each of the two values.
inline std::uint32_t kept_frequency(Index size, Index kept) noexcept {
  const auto n = static_cast<std::uint64_t>(size);
  const std::uint64_t rounded = ((static_cast<std::uint64_t>(kept) << probability_bits) + n / 2) / n;
  return static_cast<std::uint32_t>(std::clamp<std::uint64_t>(rounded, 1, (1u << probability_bits) - 1));
}

/// One gate off the state: the kept gates own the residues [0, frequency) modulo 2^16, the others the rest.
/// Returns all ones if it is kept, else 0. Without a branch, because masks are random.
inline std::uint32_t decode_gate(std::uint32_t& state, std::uint32_t frequency) noexcept {
  const std::uint32_t high = state >> probability_bits, low = state & 0xFFFF;
  const std::uint32_t kept = low < frequency ? ~0u : 0u;
  const std::uint32_t product = frequency * high;
  state = (kept & (product + low)) | (~kept & (state - product - frequency));
  return kept;
}

template <int states>
class MaskDecoder {
 public:
  MaskDecoder(Reader& reader, std::uint32_t frequency) : reader_(reader), frequency_(frequency) {
    for (std::uint32_t& state : state_) {
      state = reader.little<std::uint32_t>();
      reader.check(state >= least_state, "a coder state of at least 65536", state);
    }
    reader.check(reader.remaining() % 2 == 0, "an even number of bytes", reader.remaining());
    words_ = reader.bytes(reader.remaining());
  }

  void decode(Bits& mask) {
    constexpr Index per_word = 64 / states;
    const Index size = mask.size();
    for (Index first = 0; first < size; first += 64) {
      std::uint64_t word = 0;
      if (size - first >= 64 && words_.size() - next_ >= 2 * 64) {
        for (Index group = 0; group < per_word; ++group) word |= decode_group() << (group * states);
      } else {
        for (Index i = first; i < std::min(first + 64, size); ++i) word |= decode_one(i) << (i - first);
      }
      mask.words()[first / 64] = word;
    }
    for (const std::uint32_t state : state_) {
      reader_.check(state == least_state, "a final coder state of 65536 (the mask was altered)", state);
    }
    reader_.check(next_ == words_.size(), "a mask that needs every word",
                  concat(words_.size() - next_, " bytes too many"));
  }

 private:
  std::uint32_t take_word() noexcept {
    const std::uint32_t word = words_[next_] | std::uint32_t{words_[next_ + 1]} << 8;
    next_ += 2;
    return word;
  }
  /// One gate for each state. At most `states` words are taken, which the caller has checked to be there.
  std::uint64_t decode_group() noexcept {
    std::uint32_t kept = 0, small = 0;
    for (int j = 0; j < states; ++j) {  // vectorised; bit j of the sums stands for state j
      const std::uint32_t bit = 1u << j;
      kept |= decode_gate(state_[j], frequency_) & bit;
      small |= state_[j] < least_state ? bit : 0;
    }
    for (; small != 0; small &= small - 1) {
      std::uint32_t& state = state_[std::countr_zero(small)];
      state = state << 16 | take_word();
    }
    return kept;
  }
  std::uint64_t decode_one(Index i) {
    std::uint32_t& state = state_[i % states];
    const bool kept = decode_gate(state, frequency_) != 0;
    if (state < least_state) {
      reader_.check(next_ < words_.size(), "more words of the mask", "its end");
      state = state << 16 | take_word();
    }
    return kept;
  }

  Reader& reader_;
  std::uint32_t frequency_;
  std::uint32_t state_[states];
  std::span<const std::uint8_t> words_;
  std::size_t next_ = 0;
};

}  // namespace detail

/// The mask in about size H(kept / size) bits: nothing at all if no gate or every gate is kept.
/// The number of gates and of kept gates is not part of it: `decode_mask` is told both.
/// Source: Duda, "Asymmetric numeral systems", arXiv 1311.2540; Giesen, "Interleaved entropy coders", arXiv 1402.3392.
inline Bytes encode_mask(const Bits& mask) {
  const Index size = mask.size(), kept = mask.count();
  if (kept == 0 || kept == size) return {};
  const std::uint32_t frequency = detail::kept_frequency(size, kept);
  const std::uint32_t other = (1u << detail::probability_bits) - frequency;
  const int states = detail::state_count(size);
  std::vector<std::uint32_t> state(static_cast<std::size_t>(states), detail::least_state);
  std::vector<std::uint16_t> words;  // backwards: the decoder reads the last one first
  for (Index i = size - 1; i >= 0; --i) {
    std::uint32_t& x = state[static_cast<std::size_t>(i & (states - 1))];
    const bool one = mask[i];
    const std::uint32_t share = one ? frequency : other;
    if (x >= share << 16) {
      words.push_back(static_cast<std::uint16_t>(x));
      x >>= 16;
    }
    x = ((x / share) << detail::probability_bits) + x % share + (one ? 0 : frequency);
  }
  Writer writer;
  for (const std::uint32_t x : state) writer.little(x);
  for (auto word = words.rbegin(); word != words.rend(); ++word) writer.little(*word);
  return writer.take();
}

/// The mask of `size` gates, `kept` of them true, from all remaining bytes of the reader.
/// Throws `std::runtime_error` if the bytes are not exactly what `encode_mask` writes for such a mask.
/// Throws `std::invalid_argument` unless 0 <= kept <= size <= 2^34; the caller limits the size before memory is taken.
inline Bits decode_mask(Reader& reader, Index size, Index kept) {
  require(0 <= kept && kept <= size && size <= Index{1} << 34, "mask: expected 0 <= kept <= size <= 2^34, got ", kept,
          " of ", size);
  Bits mask(size);
  if (kept == 0 || kept == size) {
    reader.expect_end();
    if (kept != 0) {
      std::fill_n(mask.words(), size / 64, ~std::uint64_t{0});
      if (size % 64 != 0) mask.words()[size / 64] = (std::uint64_t{1} << (size % 64)) - 1;
    }
    return mask;
  }
  const std::uint32_t frequency = detail::kept_frequency(size, kept);
  switch (detail::state_count(size)) {
  case 1:
    detail::MaskDecoder<1>(reader, frequency).decode(mask);
    break;
  case 8:
    detail::MaskDecoder<8>(reader, frequency).decode(mask);
    break;
  default:
    detail::MaskDecoder<32>(reader, frequency).decode(mask);
    break;
  }
  const Index found = mask.count();
  reader.check(found == kept, concat(kept, " kept gates"), found);
  return mask;
}

}  // namespace tombola::inline TOMBOLA_ISA::ticket
