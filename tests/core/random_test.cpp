#include "tombola/core/random.hpp"

#include <doctest/doctest.h>

#include <algorithm>
#include <map>
#include <set>
#include <vector>

using namespace tombola;

namespace {

// Upper 1e-6 quantiles of chi-square: a right generator fails once in a million seeds, and the seeds here are fixed.
constexpr double chi_square_2 = 27.63, chi_square_9 = 44.81, chi_square_23 = 70.55;

template <class Counts>
double chi_square(const Counts& counts, double expected) {
  double sum = 0;
  for (const double count : counts) sum += (count - expected) * (count - expected) / expected;
  return sum;
}

}  // namespace

TEST_CASE("philox: the known answers of Random123's kat_vectors") {
  constexpr std::uint32_t ones = 0xFFFFFFFF;
  // Evaluated by the compiler too, so that both ways agree.
  static_assert(Philox::block({0, 0, 0, 0}, 0) == Philox::Words{0x6627E8D5, 0xE169C58D, 0xBC57AC4C, 0x9B00DBD8});
  volatile std::uint64_t zero_key = 0;
  CHECK(Philox::block({0, 0, 0, 0}, zero_key) == Philox::Words{0x6627E8D5, 0xE169C58D, 0xBC57AC4C, 0x9B00DBD8});
  CHECK(Philox::block({ones, ones, ones, ones}, ~std::uint64_t{0}) ==
        Philox::Words{0x408F276D, 0x41C83B0E, 0xA20BC7C6, 0x6D5451FD});
  CHECK(Philox::block({0x243F6A88, 0x85A308D3, 0x13198A2E, 0x03707344}, 0x299F31D0A4093822) ==
        Philox::Words{0xD16CFE09, 0x94FDCCEB, 0x5001E420, 0x24126EA1});
}

TEST_CASE("stream: known words, from a separate implementation in Python") {
  const Stream stream{.seed = 0x123456789ABCDEF0, .purpose = Purpose::gate_noise, .id = 7, .step = 9};
  const std::uint32_t expected[] = {0x0EDD4DBF, 0xEE58C028, 0x6F217509, 0xF1E62E7D, 0x64B1A6FB,
                                    0xED1AB4C9, 0xD2E2FA6A, 0x9A41E79D, 0x6C724C2B};
  Sequence sequence(stream);
  for (std::uint64_t i = 0; i < 9; ++i) {
    CHECK(stream.word(i) == expected[i]);
    CHECK(stream.block(static_cast<std::uint32_t>(i / 4))[i % 4] == expected[i]);
    CHECK(sequence.next() == expected[i]);
  }
}

TEST_CASE("stream: the purposes are numbered as tickets have them") {
  CHECK(static_cast<int>(Purpose::weights) == 0);
  CHECK(static_cast<int>(Purpose::gate_start) == 1);
  CHECK(static_cast<int>(Purpose::gate_noise) == 2);
  CHECK(static_cast<int>(Purpose::order) == 3);
  CHECK(static_cast<int>(Purpose::augmentation) == 4);
  CHECK(static_cast<int>(Purpose::control) == 5);
}

TEST_CASE("stream: any part of the name gives other words, none of them shared") {
  const Stream base{.seed = 1, .purpose = Purpose::weights, .id = 2, .step = 3};
  std::vector<Stream> streams = {base};
  for (int bit = 0; bit < 64; ++bit) {
    streams.push_back(base);
    streams.back().seed ^= std::uint64_t{1} << bit;
  }
  for (int bit = 0; bit < 32; ++bit) {
    streams.push_back(base);
    streams.back().id ^= 1u << bit;
    streams.push_back(base);
    streams.back().step ^= 1u << bit;
  }
  for (std::uint32_t purpose = 1; purpose <= 5; ++purpose) {
    streams.push_back(base);
    streams.back().purpose = static_cast<Purpose>(purpose);
  }
  std::set<Philox::Words> blocks;
  for (const Stream& stream : streams)
    for (std::uint32_t number = 0; number < 8; ++number) blocks.insert(stream.block(number));
  CHECK(blocks.size() == streams.size() * 8);  // that two of 10^3 blocks of 128 bits meet by chance: 10^-33
}

TEST_CASE("sequence: below has known answers and stays below") {
  Sequence draws(Stream{.seed = 5, .purpose = Purpose::order});
  const std::uint32_t expected[] = {1082774038, 3158206242, 2982424343, 2350252253, 1843357917, 1255992947};
  for (const std::uint32_t answer : expected) CHECK(draws.below(3u << 30) == answer);  // the second word is refused
  for (int i = 0; i < 10; ++i) CHECK(draws.below(1) == 0);
  for (const std::uint32_t bound : {2u, 3u, 1000u, 0x80000001u, 0xFFFFFFFFu})
    for (int i = 0; i < 1000; ++i) REQUIRE(draws.below(bound) < bound);
}

TEST_CASE("sequence: below is unbiased") {
  Sequence draws(Stream{.seed = 11, .purpose = Purpose::order});
  std::vector<double> counts(10);
  for (int i = 0; i < 100'000; ++i) ++counts[draws.below(10)];
  CHECK(chi_square(counts, 10'000) < chi_square_9);

  // For this bound a mapping that refuses nothing gives remainder 0 every second time: chi-square would be 12,500.
  std::vector<double> remainders(3);
  for (int i = 0; i < 100'000; ++i) ++remainders[draws.below(3u << 30) % 3];
  CHECK(chi_square(remainders, 100'000 / 3.0) < chi_square_2);
}

TEST_CASE("permutation: known answers, from a separate implementation in Python") {
  using Order = std::vector<std::uint32_t>;
  CHECK(permutation({1, Purpose::order, 0, 0}, 10) == Order{1, 9, 8, 7, 2, 0, 5, 3, 6, 4});
  CHECK(permutation({1, Purpose::order, 0, 1}, 10) == Order{9, 6, 1, 7, 2, 3, 8, 4, 5, 0});
  CHECK(permutation({0x123456789ABCDEF0, Purpose::control, 7, 2}, 10) == Order{9, 5, 4, 1, 2, 3, 8, 6, 0, 7});
}

TEST_CASE("permutation: every number once") {
  for (const Index count : {Index{0}, Index{1}, Index{2}, Index{3}, Index{1000}, Index{60'001}}) {
    CAPTURE(count);
    std::vector<std::uint32_t> order = permutation({3, Purpose::order, 0, 4}, count);
    std::vector<std::uint32_t> expected(static_cast<std::size_t>(count));
    std::iota(expected.begin(), expected.end(), 0u);
    if (count >= 1000) CHECK(order != expected);
    std::sort(order.begin(), order.end());
    CHECK(order == expected);
  }
}

TEST_CASE("permutation: all orders of four are equally likely") {
  std::map<std::vector<std::uint32_t>, double> counts;
  for (std::uint32_t epoch = 0; epoch < 24'000; ++epoch) ++counts[permutation({1, Purpose::order, 0, epoch}, 4)];
  REQUIRE(counts.size() == 24);
  std::vector<double> values;
  for (const auto& [order, count] : counts) values.push_back(count);
  CHECK(chi_square(values, 1000) < chi_square_23);
}

TEST_CASE("permutation: refuses counts that 32 bits do not number") {
  CHECK_THROWS_WITH_AS(permutation({}, -1), "permutation: expected 0 to 2^32 - 1 elements, got -1",
                       std::invalid_argument);
  CHECK_THROWS_WITH_AS(permutation({}, Index{1} << 32), "permutation: expected 0 to 2^32 - 1 elements, got 4294967296",
                       std::invalid_argument);
}
