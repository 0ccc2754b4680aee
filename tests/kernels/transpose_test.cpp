#include "tombola/kernels/transpose.hpp"

#include <doctest/doctest.h>

#include "support/architectures.hpp"

using namespace tombola;

namespace {

/// A block of `count` registers, whose elements are their places in it.
template <class T, class Arch, std::size_t count>
struct Block {
  static constexpr Index width = simd::width<T, Arch>;
  simd::Batch<T, Arch> rows[count];

  Block() noexcept {
    T places[width];
    for (std::size_t i = 0; i < count; ++i) {
      for (Index j = 0; j < width; ++j) places[j] = static_cast<T>(static_cast<Index>(i) * width + j);
      rows[i] = simd::load<T, Arch>(places);
    }
  }
};

}  // namespace

TEST_CASE_TEMPLATE_DEFINE("transpose: rows become columns", Each, whole) {
  using T = typename Each::T;
  using Arch = typename Each::Arch;
  constexpr Index width = simd::width<T, Arch>;
  Block<T, Arch, static_cast<std::size_t>(width)> block;
  simd::transpose<T, Arch>(block.rows);
  for (Index i = 0; i < width; ++i) {
    T row[width];
    simd::store(row, block.rows[i]);
    for (Index j = 0; j < width; ++j) CHECK(row[j] == static_cast<T>(j * width + i));
  }
}
TEST_CASE_TEMPLATE_APPLY(whole, test::OnEach);

TEST_CASE_TEMPLATE_DEFINE("transpose: columns of a block of half as many rows, in halves of registers", Each, half) {
  using T = typename Each::T;
  using Arch = typename Each::Arch;
  constexpr Index width = simd::width<T, Arch>, rows = width / 2;
  Block<T, Arch, static_cast<std::size_t>(rows)> block;
  simd::transpose_half<T, Arch>(block.rows);
  for (Index i = 0; i < rows; ++i) {
    T low[rows], high[rows];
    simd::store_low_half(low, block.rows[i]);
    simd::store_high_half(high, block.rows[i]);
    for (Index j = 0; j < rows; ++j) {
      CHECK(low[j] == static_cast<T>(j * width + i));
      CHECK(high[j] == static_cast<T>(j * width + rows + i));
    }
  }
}
TEST_CASE_TEMPLATE_APPLY(half, test::OnEach);
