/// \file
/// Models of a text that count: what one, two or three tokens say of the last of them. A network has to do better.
#pragma once

#include <cmath>
#include <cstdint>
#include <map>
#include <span>
#include <vector>

#include "tombola/core/error.hpp"

namespace examples {

/// P(c | h) = (n(h c) + d(h) P(c | h')) / (n(h) + d(h)) for a history h of order - 1 tokens, h' being h without its first: n counts
/// in the training text, d(h) is the number of different tokens that follow h there; before all histories, every token is as likely.
/// Source: Witten, Bell, "The zero-frequency problem", IEEE Transactions on Information Theory 37 (1991), method C, interpolated.
class Ngram {
 public:
  /// Order 1 counts tokens alone, 2 pairs, 3 triples.
  Ngram(int order, std::int32_t vocabulary, std::span<const std::int32_t> text)
      : order_(order),
        vocabulary_(vocabulary),
        counts_(static_cast<std::size_t>(order)) {
    for (std::size_t i = 0; i < text.size(); ++i) {
      for (int history = 0; history < order && static_cast<std::size_t>(history) <= i; ++history) {
        Followers& followers = counts_[static_cast<std::size_t>(history)][key(text, i, history)];
        if (followers.of.empty()) followers.of.resize(static_cast<std::size_t>(vocabulary));
        followers.different += followers.of[static_cast<std::size_t>(text[i])]++ == 0;
        ++followers.all;
      }
    }
  }

  /// Of token i of a text, by those before it.
  double probability(std::span<const std::int32_t> text, std::size_t i) const {
    double p = 1.0 / vocabulary_;
    for (int history = 0; history < order_ && static_cast<std::size_t>(history) <= i; ++history) {
      const auto& seen = counts_[static_cast<std::size_t>(history)];
      const auto found = seen.find(key(text, i, history));
      if (found == seen.end()) break;
      const Followers& followers = found->second;
      p = (static_cast<double>(followers.of[static_cast<std::size_t>(text[i])]) + followers.different * p) /
          (static_cast<double>(followers.all) + followers.different);
    }
    return p;
  }

  /// Mean of -log2 P over the tokens of a text but the first. Throws `std::invalid_argument` if there are fewer than two.
  double bits_per_token(std::span<const std::int32_t> text) const {
    tombola::require(text.size() >= 2, "ngram: expected a text of at least 2 tokens, got ", text.size());
    double bits = 0;
    for (std::size_t i = 1; i < text.size(); ++i) bits -= std::log2(probability(text, i));
    return bits / static_cast<double>(text.size() - 1);
  }

 private:
  struct Followers {
    std::vector<std::uint32_t> of;
    std::uint64_t all = 0;
    double different = 0;
  };
  std::uint64_t key(std::span<const std::int32_t> text, std::size_t i, int history) const {
    std::uint64_t key = 0;
    for (int back = history; back >= 1; --back) {
      key = key * static_cast<std::uint64_t>(vocabulary_) + static_cast<std::uint64_t>(text[i - static_cast<std::size_t>(back)]);
    }
    return key;
  }

  int order_;
  std::int32_t vocabulary_;
  std::vector<std::map<std::uint64_t, Followers>> counts_;  // by the length of the history
};

}  // namespace examples
