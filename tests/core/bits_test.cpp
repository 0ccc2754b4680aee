#include "tombola/core/bits.hpp"

#include <doctest/doctest.h>

using namespace tombola;

TEST_CASE("bits: set, clear, count, for sizes around a word") {
  for (const Index size : {Index{1}, Index{63}, Index{64}, Index{65}, Index{200}}) {
    CAPTURE(size);
    Bits bits(size);
    CHECK(bits.size() == size);
    CHECK(bits.count() == 0);
    Index expected = 0;
    for (Index i = 0; i < size; i += 3, ++expected) bits.set(i, true);
    CHECK(bits.count() == expected);
    for (Index i = 0; i < size; ++i) CHECK(bits[i] == (i % 3 == 0));
    bits.set(0, true);  // again changes nothing
    CHECK(bits.count() == expected);
    bits.set(0, false);
    CHECK_FALSE(bits[0]);
    CHECK(bits.count() == expected - 1);
    bits.set(size - 1, true);
    CHECK(bits[size - 1]);
  }
}

TEST_CASE("bits: bit i is bit i mod 64 of word i / 64, the bits past the end are zero") {
  Bits bits(70);
  bits.set(1, true);
  bits.set(63, true);
  bits.set(64, true);
  CHECK(bits.words()[0] == 0x8000000000000002u);
  CHECK(bits.words()[1] == 1u);
  for (Index i = 0; i < 70; ++i) bits.set(i, true);
  CHECK(bits.words()[0] == ~std::uint64_t{0});
  CHECK(bits.words()[1] == 0x3Fu);
  CHECK(bits.count() == 70);
}

TEST_CASE("bits: equality") {
  Bits a(65), b(65);
  CHECK(a == b);
  b.set(64, true);
  CHECK(a != b);
  a.set(64, true);
  CHECK(a == b);
  CHECK(Bits(64) != Bits(63));  // as many words
  CHECK(Bits() == Bits(0));
}

TEST_CASE("bits: refuses a negative size") {
  CHECK_THROWS_WITH_AS(Bits(-1), "bits: expected a size of at least 0, got -1", std::invalid_argument);
}
