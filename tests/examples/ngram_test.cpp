#include "support/ngram.hpp"

#include <doctest/doctest.h>

#include <cmath>
#include <vector>

using examples::Ngram;

namespace {
const std::vector<std::int32_t> text{0, 1, 0, 2, 0, 1};  // 0 1 0 2 0 1
}

TEST_CASE("ngram: single tokens, mixed with all being as likely") {
  const Ngram unigram(1, 4, text);
  // n(0) = 3, n(1) = 2, n(2) = 1, three different ones among six: (n + 3/4) / 9.
  const std::vector<std::int32_t> all{0, 1, 2, 3};
  for (std::size_t i = 0; i < 4; ++i) {
    const double counts[] = {3, 2, 1, 0};
    CHECK(unigram.probability(all, i) == doctest::Approx((counts[i] + 0.75) / 9));
  }
}

TEST_CASE("ngram: pairs and triples, mixed with shorter histories") {
  const Ngram unigram(1, 4, text), bigram(2, 4, text), trigram(3, 4, text);
  // After 0 came 1, 2, 1: two different ones. P(1 | 0) = (2 + 2 P(1)) / (3 + 2).
  const std::vector<std::int32_t> other{2, 0, 1};
  const double p1 = unigram.probability(other, 2), p1_after_0 = (2 + 2 * p1) / 5;
  CHECK(bigram.probability(other, 2) == doctest::Approx(p1_after_0));
  // After 2 0 came 1, once.
  CHECK(trigram.probability(other, 2) == doctest::Approx((1 + 1 * p1_after_0) / 2));
  // A history that never occurred says nothing; the shorter one does.
  const std::vector<std::int32_t> unseen{3, 0, 1};
  CHECK(trigram.probability(unseen, 2) == doctest::Approx(p1_after_0));
  CHECK(bigram.bits_per_token(other) ==
        doctest::Approx(-(std::log2(bigram.probability(other, 1)) + std::log2(bigram.probability(other, 2))) / 2));
}

TEST_CASE("ngram: refuses to average over nothing") {
  const Ngram unigram(1, 4, text);
  CHECK_THROWS_WITH_AS(unigram.bits_per_token(std::vector<std::int32_t>{1}), "ngram: expected a text of at least 2 tokens, got 1", std::invalid_argument);
  CHECK_THROWS_WITH_AS(unigram.bits_per_token({}), "ngram: expected a text of at least 2 tokens, got 0", std::invalid_argument);
}

TEST_CASE("ngram: probabilities after any history add up to 1") {
  std::vector<std::int32_t> longer;
  for (int i = 0; i < 500; ++i) longer.push_back((i * i + i / 7) % 5);
  for (int order = 1; order <= 3; ++order) {
    const Ngram model(order, 6, longer);
    for (std::int32_t a = 0; a < 6; ++a) {
      for (std::int32_t b = 0; b < 6; ++b) {
        double sum = 0;
        for (std::int32_t c = 0; c < 6; ++c) sum += model.probability(std::vector<std::int32_t>{a, b, c}, 2);
        CHECK(sum == doctest::Approx(1));
      }
    }
  }
}
