#include "tombola/kernels/elementwise.hpp"

#include <doctest/doctest.h>

#include "support/architectures.hpp"
#include "support/arrays.hpp"

using namespace tombola;
using test::at;

namespace {

const auto square = [](const auto& x) { return x * x; };
const auto product = [](const auto& x, const auto& y) { return x * y; };

}  // namespace

TEST_CASE_TEMPLATE_DEFINE("map", Kind, map) {
  using T = typename Kind::T;
  for (const Index size : test::sizes_above(kernels::elementwise_grain)) {
    CAPTURE(size);
    const auto x = test::uniform<T>(size, -2, 2, 1), v = test::uniform<T>(size, -2, 2, 2);
    test::Guarded<T> squares(size), products(size), constant(size);
    test::Guarded<T> in_place(x);
    kernels::map<T, typename Kind::Arch>(1, size, square, squares.data(), x.data());
    kernels::map<T, typename Kind::Arch>(1, size, product, products.data(), x.data(), v.data());
    kernels::map<T, typename Kind::Arch>(1, size, square, in_place.data(), in_place.data());
    kernels::map<T, typename Kind::Arch>(
        1, size, [] { return simd::Batch<T, typename Kind::Arch>(T(3)); }, constant.data());
    Index wrong = 0;
    for (Index i = 0; i < size; ++i) {
      wrong += squares[i] != x[at(i)] * x[at(i)] || products[i] != x[at(i)] * v[at(i)] || constant[i] != T(3);
    }
    CHECK(wrong == 0);
    CHECK(in_place == squares);
    CHECK((squares.intact() && products.intact() && in_place.intact() && constant.intact()));
    for (const int threads : test::thread_counts) {
      test::Guarded<T> again(size);
      kernels::map<T, typename Kind::Arch>(threads, size, square, again.data(), x.data());
      CHECK(again == squares);
    }
  }
}
TEST_CASE_TEMPLATE_APPLY(map, test::OnEach);

TEST_CASE_TEMPLATE_DEFINE("map_accumulate writes or adds", Kind, accumulate) {
  using T = typename Kind::T;
  for (const Index size : test::sizes_above(kernels::elementwise_grain)) {
    CAPTURE(size);
    const auto x = test::uniform<T>(size, -2, 2, 1);
    test::Guarded<T> written(size, std::numeric_limits<T>::quiet_NaN()), added(size, T(0.5));  // beta 0 reads no y
    kernels::map_accumulate<T, typename Kind::Arch>(1, size, square, T(0), written.data(), x.data());
    kernels::map_accumulate<T, typename Kind::Arch>(1, size, square, T(1), added.data(), x.data());
    Index wrong = 0;
    for (Index i = 0; i < size; ++i) {
      const T y = x[at(i)] * x[at(i)];
      wrong += written[i] != y;
      wrong += !(std::abs(added[i] - (T(0.5) + y)) <= 4 * std::numeric_limits<T>::epsilon());  // the compiler may contract
    }
    CHECK(wrong == 0);
    CHECK((written.intact() && added.intact()));
    for (const int threads : test::thread_counts) {
      test::Guarded<T> again(size, T(0.5));
      kernels::map_accumulate<T, typename Kind::Arch>(threads, size, square, T(1), again.data(), x.data());
      CHECK(again == added);
    }
  }
}
TEST_CASE_TEMPLATE_APPLY(accumulate, test::OnEach);

TEST_CASE_TEMPLATE_DEFINE("map_columns", Kind, columns) {
  using T = typename Kind::T;
  const auto check = [](Index rows, Index columns) {
    CAPTURE(rows);
    CAPTURE(columns);
    const auto x = test::uniform<T>(rows * columns, -2, 2, 1), v = test::uniform<T>(columns, -2, 2, 2);
    test::Guarded<T> y(rows * columns), in_place(x);
    kernels::map_columns<T, typename Kind::Arch>(1, rows, columns, product, y.data(), x.data(), v.data());
    kernels::map_columns<T, typename Kind::Arch>(1, rows, columns, product, in_place.data(), in_place.data(), v.data());
    Index wrong = 0;
    for (Index r = 0; r < rows; ++r) {
      for (Index c = 0; c < columns; ++c) wrong += y[r * columns + c] != x[at(r * columns + c)] * v[at(c)];
    }
    CHECK(wrong == 0);
    CHECK(y.intact());
    CHECK(in_place == y);
    for (const int threads : test::thread_counts) {
      test::Guarded<T> again(rows * columns);
      kernels::map_columns<T, typename Kind::Arch>(threads, rows, columns, product, again.data(), x.data(), v.data());
      CHECK(again == y);
    }
  };
  for (const Index size : test::sizes) {
    check(3, size);
    check(size, 5);
  }
  check(2, kernels::elementwise_grain + 3);
  check(kernels::elementwise_grain / 4 + 1, 9);
}
TEST_CASE_TEMPLATE_APPLY(columns, test::OnEach);
