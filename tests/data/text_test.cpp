#include "tombola/data/text.hpp"

#include <doctest/doctest.h>

#include <set>
#include <type_traits>
#include <vector>

#include "support/temporary_folder.hpp"

using namespace tombola;
using data::TextBatches;
using test_support::TemporaryFolder;

static_assert(!std::is_constructible_v<TextBatches<float>, Tensor<std::int32_t>, Index>, "a temporary would be gone before the first batch");
static_assert(std::is_constructible_v<TextBatches<float>, View<const std::int32_t>, Index>);

namespace {

/// Token i is i mod 11: a place in the text can be told from no single token, but consecutive ones follow each other.
Tensor<std::int32_t> counting(Index count) {
  Tensor<std::int32_t> tokens({count});
  for (Index i = 0; i < count; ++i) tokens[i] = static_cast<std::int32_t>(i % 11);
  return tokens;
}

/// The tokens of a batch's one-hot rows; each row has one 1 and zeros.
std::vector<std::int32_t> tokens_in(const data::Batch<float>& batch, Index vocabulary) {
  std::vector<std::int32_t> tokens;
  for (Index row = 0; row < batch.x.size() / vocabulary; ++row) {
    std::int32_t found = -1;
    for (Index c = 0; c < vocabulary; ++c) {
      const float value = batch.x.data()[row * vocabulary + c];
      if (value == 1) {
        CHECK(found == -1);
        found = static_cast<std::int32_t>(c);
      } else {
        CHECK(value == 0);
      }
    }
    tokens.push_back(found);
  }
  return tokens;
}

}  // namespace

TEST_CASE("text: the alphabet is the bytes that occur, ascending; tokens number them") {
  const std::string text("ba\xFF\0b\n", 6);
  const std::string alphabet = data::alphabet_of(text);
  CHECK(alphabet == std::string("\0\nab\xFF", 5));
  const Tensor<std::int32_t> tokens = data::tokens_of(text, alphabet, "t");
  CHECK(std::vector(tokens.begin(), tokens.end()) == std::vector<std::int32_t>{3, 2, 4, 0, 3, 1});
  CHECK(data::alphabet_of("").empty());
  CHECK(data::tokens_of("", "ab", "t").size() == 0);
  CHECK_THROWS_WITH_AS(data::tokens_of("abca", "ab", "poem.txt"), "poem.txt: at byte 2: expected one of the alphabet's 2 bytes, got 99",
                       std::runtime_error);
}

TEST_CASE("text: whole files, and what cannot be read") {
  const TemporaryFolder folder;
  const std::string path = folder.path() + "/t.txt";
  write_file(path, std::string_view("to be\n"));
  CHECK(data::read_text(path) == "to be\n");
  const std::string none = folder / "none.txt";
  CHECK_THROWS_WITH_AS(data::read_text(path, 5), (path + ": at byte 0: expected at most 5 bytes, got 6").c_str(), std::runtime_error);
  CHECK_THROWS_WITH_AS(data::read_text(none), (none + ": cannot open for reading: No such file or directory").c_str(), std::runtime_error);
  CHECK_THROWS_WITH_AS(data::read_text(folder.path()), (folder.path() + ": at byte 0: expected a regular file, got something else").c_str(),
                       std::runtime_error);
}

TEST_CASE("text batches: in order, from the beginning, each token's label is the next") {
  const Tensor<std::int32_t> tokens = counting(50);
  TextBatches<float> batches(tokens.view(), 11, {.size = 4, .length = 7, .shuffle = false});
  CHECK(batches.sequences() == 7);  // 49 tokens with one after each
  CHECK(batches.count() == 2);
  Index place = 0;
  for (Index b = 0; b < 2; ++b) {
    const auto batch = batches.get(3, b);
    CHECK(batch.x.shape() == Shape{b == 0 ? 4 : 3, 7, 11});
    CHECK(batch.size() == (b == 0 ? 28 : 21));
    const auto x = tokens_in(batch, 11);
    for (Index i = 0; i < batch.size(); ++i, ++place) {
      CHECK(x[static_cast<std::size_t>(i)] == tokens[place]);
      CHECK(batch.labels[i] == tokens[place + 1]);
    }
  }
  CHECK(place == 49);
  CHECK(TextBatches<float>(tokens.view(), 11, {.size = 1, .length = 49, .shuffle = false}).count() == 1);
}

TEST_CASE("text batches: an epoch walks over the text once, in another order and from another beginning than the last") {
  Tensor<std::int32_t> tokens({1000});
  for (Index i = 0; i < 1000; ++i) tokens[i] = static_cast<std::int32_t>(i);
  TextBatches<float> batches(tokens.view(), 1000, {.size = 5, .length = 9, .seed = 3});
  CHECK(batches.sequences() == 110);
  CHECK(batches.count() == 22);
  std::vector<std::vector<std::int32_t>> epochs;
  std::set<std::int32_t> beginnings;
  for (Index epoch = 0; epoch < 4; ++epoch) {
    std::set<std::int32_t> seen;
    std::vector<std::int32_t> order;
    for (Index b = 0; b < batches.count(); ++b) {
      const auto batch = batches.get(epoch, b);
      const auto x = tokens_in(batch, 1000);
      for (Index i = 0; i < batch.size(); ++i) {
        CHECK(batch.labels[i] == x[static_cast<std::size_t>(i)] + 1);
        if (i % 9 != 0) CHECK(x[static_cast<std::size_t>(i)] == x[static_cast<std::size_t>(i - 1)] + 1);
      }
      order.insert(order.end(), x.begin(), x.end());
      seen.insert(x.begin(), x.end());
    }
    CHECK(seen.size() == 990);  // each once
    CHECK(*seen.rbegin() - *seen.begin() == 989);
    beginnings.insert(*seen.begin());
    CHECK(*seen.begin() == static_cast<std::int32_t>(Stream{3, Purpose::augmentation, 3, static_cast<std::uint32_t>(epoch)}.word(0) % 9));
    epochs.push_back(std::move(order));
  }
  CHECK(beginnings.size() > 1);
  CHECK(epochs[0] != epochs[1]);
  // What was asked for before does not matter.
  TextBatches<float> other(tokens.view(), 1000, {.size = 5, .length = 9, .seed = 3});
  CHECK(tokens_in(other.get(2, 7), 1000) == std::vector<std::int32_t>(epochs[2].begin() + 7 * 45, epochs[2].begin() + 8 * 45));
}

TEST_CASE("text batches: what they refuse") {
  const Tensor<std::int32_t> tokens = counting(20);
  const auto make = [&](data::TextBatchOptions options, Index vocabulary = 11) { return TextBatches<float>(tokens.view(), vocabulary, options); };
  CHECK_THROWS_WITH_AS(make({.size = 0}), "text batches: expected size, length and vocabulary of at least 1, got 0, 128 and 11", std::invalid_argument);
  CHECK_THROWS_WITH_AS(make({.length = 0}), "text batches: expected size, length and vocabulary of at least 1, got 32, 0 and 11", std::invalid_argument);
  CHECK_THROWS_WITH_AS(make({.length = 5}, 0), "text batches: expected size, length and vocabulary of at least 1, got 32, 5 and 0", std::invalid_argument);
  CHECK_THROWS_WITH_AS(make({.length = 11}), "text batches: expected a text of at least 22 tokens for sequences of 11, got 20", std::invalid_argument);
  CHECK_THROWS_WITH_AS(make({.length = 20, .shuffle = false}), "text batches: expected a text of at least 21 tokens for sequences of 20, got 20",
                       std::invalid_argument);
  constexpr Index most = std::numeric_limits<Index>::max();
  for (const Index length : {Index{1} << 62, most}) {
    const std::string sequences = concat(" tokens for sequences of ", length, ", got 20");
    CHECK_THROWS_WITH_AS(make({.length = length}), ("text batches: expected a text of at least 9223372036854775806" + sequences).c_str(),
                         std::invalid_argument);
    CHECK_THROWS_WITH_AS(make({.length = length, .shuffle = false}), ("text batches: expected a text of at least 4611686018427387904" + sequences).c_str(),
                         std::invalid_argument);
  }
  CHECK(make({.size = most, .length = 5}).count() == 1);
  CHECK(make({.length = 10}).sequences() == 1);
  CHECK(make({.length = 19, .shuffle = false}).sequences() == 1);
  CHECK_THROWS_WITH_AS(make({.length = 5}, 10), "text batches: expected tokens in [0, 10), got 10 at place 10", std::invalid_argument);
  auto batches = make({.size = 2, .length = 5});
  CHECK_THROWS_WITH_AS(batches.get(0, 2), "text batches: expected a number in [0, 2), got 2", std::invalid_argument);
  CHECK_THROWS_WITH_AS(batches.get(0, -1), "text batches: expected a number in [0, 2), got -1", std::invalid_argument);
  CHECK_THROWS_WITH_AS(batches.get(-1, 0), "text batches: expected an epoch from 0 to 2^32 - 1, got -1", std::invalid_argument);
  CHECK_THROWS_WITH_AS(batches.get(Index{1} << 32, 0), "text batches: expected an epoch from 0 to 2^32 - 1, got 4294967296", std::invalid_argument);
}
