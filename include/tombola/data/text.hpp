/// \file
/// Text as sequences of tokens: a file's bytes, numbered, and cut into mini-batches.
#pragma once

#include <algorithm>
#include <array>
#include <cstdint>
#include <limits>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

#include "tombola/core/file.hpp"
#include "tombola/core/random.hpp"
#include "tombola/data/batches.hpp"

namespace tombola::inline TOMBOLA_ISA::data {

/// The different bytes of a text, ascending: byte alphabet[i] is token i. UTF-8's longer characters are several tokens.
inline std::string alphabet_of(std::string_view text) {
  std::array<bool, 256> occurs{};
  for (const char c : text) occurs[static_cast<unsigned char>(c)] = true;
  std::string alphabet;
  for (int byte = 0; byte < 256; ++byte) {
    if (occurs[static_cast<std::size_t>(byte)]) alphabet.push_back(static_cast<char>(byte));
  }
  return alphabet;
}

/// The numbers of a text's bytes in an alphabet. Throws `std::runtime_error` for a byte that it does not have; `name` is that of the text.
inline Tensor<std::int32_t> tokens_of(std::string_view text, std::string_view alphabet, const std::string& name) {
  std::array<std::int32_t, 256> numbers;
  numbers.fill(-1);
  for (std::size_t i = 0; i < alphabet.size(); ++i) numbers[static_cast<unsigned char>(alphabet[i])] = static_cast<std::int32_t>(i);
  auto tokens = Tensor<std::int32_t>::uninitialized({static_cast<Index>(text.size())});
  for (std::size_t i = 0; i < text.size(); ++i) {
    const auto byte = static_cast<unsigned char>(text[i]);
    if (numbers[byte] < 0) {
      throw std::runtime_error(concat(name, ": at byte ", i, ": expected one of the alphabet's ", alphabet.size(), " bytes, got ", int{byte}));
    }
    tokens[static_cast<Index>(i)] = numbers[byte];
  }
  return tokens;
}

/// A whole file. Throws `std::runtime_error` as `read_file` does, and if it holds more than `limit` bytes.
inline std::string read_text(const std::string& path, std::uint64_t limit = std::uint64_t{1} << 30) {
  const Bytes bytes = read_file(path, limit);
  return {bytes.begin(), bytes.end()};
}

struct TextBatchOptions {
  Index size = 32;         ///< sequences in a batch; the last one of an epoch has what is left
  Index length = 128;      ///< tokens in a sequence
  std::uint64_t seed = 1;  ///< of the order
  bool shuffle = true;     ///< false: every epoch in the order of the text, from its beginning
};

/// The mini-batches of a text: sequences of `length` tokens as one-hot rows, x [size, length, vocabulary], with the token after each as its
/// label, labels [size length]. An epoch walks over the text once, beginning at token w mod length, w being word 0 of
/// {seed, Purpose::augmentation, 3, e}; its sequences come in the order `permutation({seed, Purpose::order, 0, e}, ...)`. Tokens that do
/// not fill a sequence, fewer than 2 length, are left out. Batch b of epoch e is a function of the options alone.
///
/// Borrows the tokens. Not for use by two user threads at once.
template <class T>
class TextBatches {
 public:
  /// Throws `std::invalid_argument` unless size, length and vocabulary are at least 1, tokens lie in [0, vocabulary), and there are more of
  /// them than a sequence has; with `shuffle` at least twice as many.
  TextBatches(View<const std::int32_t> tokens, Index vocabulary, const TextBatchOptions& options = {})
      : tokens_(tokens),
        vocabulary_(vocabulary),
        options_(options) {
    require(options.size >= 1 && options.length >= 1 && vocabulary >= 1, "text batches: expected size, length and vocabulary of at least 1, got ",
            options.size, ", ", options.length, " and ", vocabulary);
    const Index length = std::min(options.length, std::numeric_limits<Index>::max() / 2);
    const Index least = options.shuffle ? 2 * length : length + 1;
    require(tokens.size() >= least, "text batches: expected a text of at least ", least, " tokens for sequences of ", options.length, ", got ",
            tokens.size());
    for (Index i = 0; i < tokens.size(); ++i) {
      require(tokens[i] >= 0 && tokens[i] < vocabulary, "text batches: expected tokens in [0, ", vocabulary, "), got ", tokens[i], " at place ", i);
    }
    // With any beginning of an epoch there are as many sequences.
    sequences_ = (tokens.size() - (options.shuffle ? options.length : 1)) / options.length;
  }

  TextBatches(const Tensor<std::int32_t>&& tokens, Index vocabulary, const TextBatchOptions& options = {}) = delete;  // they would be gone

  /// Sequences in an epoch, and batches.
  Index sequences() const noexcept { return sequences_; }
  Index count() const noexcept { return sequences_ / options_.size + (sequences_ % options_.size != 0); }

  /// One batch, valid until the next call. Throws `std::invalid_argument` unless 0 <= epoch < 2^32 and 0 <= number < count.
  Batch<T> get(Index epoch, Index number) {
    require(epoch >= 0 && epoch < Index{1} << 32, "text batches: expected an epoch from 0 to 2^32 - 1, got ", epoch);
    require(number >= 0 && number < count(), "text batches: expected a number in [0, ", count(), "), got ", number);
    arrange(epoch);
    const Index first = number * options_.size, size = std::min(options_.size, sequences_ - first), length = options_.length;
    x_ = Tensor<T>({size, length, vocabulary_});
    labels_ = Tensor<std::int32_t>({size * length});
    for (Index s = 0; s < size; ++s) {
      const Index sequence = options_.shuffle ? Index{order_[static_cast<std::size_t>(first + s)]} : first + s;
      const std::int32_t* from = tokens_.data() + beginning_ + sequence * length;
      for (Index t = 0; t < length; ++t) {
        const Index place = s * length + t;
        x_[place * vocabulary_ + from[t]] = T(1);
        labels_[place] = from[t + 1];
      }
    }
    return {number, x_, labels_};
  }

 private:
  void arrange(Index epoch) {
    if (!options_.shuffle || epoch == arranged_) return;
    const auto e = static_cast<std::uint32_t>(epoch);
    beginning_ = Stream{options_.seed, Purpose::augmentation, 3, e}.word(0) % options_.length;
    order_ = permutation({options_.seed, Purpose::order, 0, e}, sequences_);
    arranged_ = epoch;
  }

  View<const std::int32_t> tokens_;
  Index vocabulary_;
  TextBatchOptions options_;
  Index sequences_ = 0, beginning_ = 0, arranged_ = -1;
  std::vector<std::uint32_t> order_;
  Tensor<T> x_;
  Tensor<std::int32_t> labels_;
};

}  // namespace tombola::inline TOMBOLA_ISA::data
