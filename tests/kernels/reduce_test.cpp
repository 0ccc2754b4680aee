#include "tombola/kernels/reduce.hpp"

#include <doctest/doctest.h>

#include "support/architectures.hpp"
#include "support/arrays.hpp"

using namespace tombola;
using test::at;

namespace {

const auto product = [](const auto& x, const auto& y) { return x * y; };
const auto same = [](const auto& x) { return x; };

/// Sums of n random numbers in (-1, 1) kept in T: n roundings of partial sums of the order of sqrt(n), of which most cancel;
/// a few times that, for the reference rounds as well. One element left out would show as .1.
template <class T>
double tolerance(Index n) {
  return static_cast<double>(std::numeric_limits<T>::epsilon()) * (8 + static_cast<double>(n) / 2);
}

}  // namespace

TEST_CASE_TEMPLATE_DEFINE("reduce", Kind, reduce) {
  using T = typename Kind::T;
  Workspace scratch;
  for (const Index size : test::sizes_above(kernels::reduce_grain)) {
    CAPTURE(size);
    const auto x = test::uniform<T>(size, -1, 1, 1), y = test::uniform<T>(size, -1, 1, 2);
    double exact = 0, exact_product = 0;
    for (Index i = 0; i < size; ++i) {
      exact += static_cast<double>(x[at(i)]);
      exact_product += static_cast<double>(x[at(i)]) * static_cast<double>(y[at(i)]);
    }
    const double sum = kernels::reduce<T, typename Kind::Arch>(1, scratch, size, same, x.data());
    const double dot = kernels::reduce<T, typename Kind::Arch>(1, scratch, size, product, x.data(), y.data());
    CHECK(std::abs(sum - exact) <= tolerance<T>(size));
    CHECK(std::abs(dot - exact_product) <= tolerance<T>(size));
    for (const int threads : test::thread_counts) {
      CHECK(kernels::reduce<T, typename Kind::Arch>(threads, scratch, size, same, x.data()) == sum);
    }
  }
}
TEST_CASE_TEMPLATE_APPLY(reduce, test::OnEach);

TEST_CASE_TEMPLATE_DEFINE("reduce adds chunks in double", Kind, chunks) {
  using T = typename Kind::T;
  // 2^25 in one chunk, then 2^14 ones: sums in float would lose the ones.
  Workspace scratch;
  std::vector<T> x(at(2 * kernels::reduce_grain), T(1));
  std::fill_n(x.begin(), kernels::reduce_grain, T(2048));
  CHECK(kernels::reduce<T, typename Kind::Arch>(1, scratch, 2 * kernels::reduce_grain - 1, same, x.data()) ==
        2048.0 * 16384 + 16383);
}
TEST_CASE_TEMPLATE_APPLY(chunks, test::OnEach);

TEST_CASE_TEMPLATE_DEFINE("reduce_rows and reduce_columns", Kind, matrix) {
  using T = typename Kind::T;
  Workspace scratch;
  const auto check = [&scratch](Index rows, Index columns) {
    CAPTURE(rows);
    CAPTURE(columns);
    const auto x = test::uniform<T>(rows * columns, -1, 1, 1), y = test::uniform<T>(rows * columns, -1, 1, 2);
    std::vector<double> of_columns(at(columns)), of_rows(at(rows));
    for (Index r = 0; r < rows; ++r) {
      for (Index c = 0; c < columns; ++c) {
        const double term = static_cast<double>(x[at(r * columns + c)]) * static_cast<double>(y[at(r * columns + c)]);
        of_columns[at(c)] += term;
        of_rows[at(r)] += term;
      }
    }
    test::Guarded<T> written(columns, std::numeric_limits<T>::quiet_NaN()), added(columns, T(0.5)), across(rows);
    kernels::reduce_rows<T, typename Kind::Arch>(1, scratch, rows, columns, product, T(0), written.data(), x.data(), y.data());
    kernels::reduce_rows<T, typename Kind::Arch>(1, scratch, rows, columns, product, T(1), added.data(), x.data(), y.data());
    kernels::reduce_columns<T, typename Kind::Arch>(1, rows, columns, product, across.data(), x.data(), y.data());
    CHECK((written.intact() && added.intact() && across.intact()));
    Index wrong = 0;
    for (Index c = 0; c < columns; ++c) {
      wrong += !(std::abs(static_cast<double>(written[c]) - of_columns[at(c)]) <= tolerance<T>(rows));
      wrong += !(std::abs(static_cast<double>(added[c]) - of_columns[at(c)] - 0.5) <= tolerance<T>(rows));
    }
    for (Index r = 0; r < rows; ++r) {
      wrong += !(std::abs(static_cast<double>(across[r]) - of_rows[at(r)]) <= tolerance<T>(columns));
    }
    CHECK(wrong == 0);
    for (const int threads : test::thread_counts) {
      test::Guarded<T> rows_again(columns), columns_again(rows);
      kernels::reduce_rows<T, typename Kind::Arch>(threads, scratch, rows, columns, product, T(0), rows_again.data(), x.data(),
                                                   y.data());
      kernels::reduce_columns<T, typename Kind::Arch>(threads, rows, columns, product, columns_again.data(), x.data(),
                                                      y.data());
      CHECK(rows_again == written);
      CHECK(columns_again == across);
    }
  };
  for (const Index size : test::sizes) {
    check(3, size);
    check(size, 5);
    check(129, size);
  }
  check(2, kernels::reduce_grain + 3);
  check(kernels::reduce_grain + 3, 2);
}
TEST_CASE_TEMPLATE_APPLY(matrix, test::OnEach);

TEST_CASE_TEMPLATE_DEFINE("reduce_rows adds rows in order", Kind, order) {
  using T = typename Kind::T;
  Workspace scratch;
  // 1 + big - big is 0 in this order, 1 in any other that starts with the big ones
  const T big = static_cast<T>(std::ldexp(1.0, std::numeric_limits<T>::digits + 1));
  for (const Index columns : {1, 9, 100}) {
    std::vector<T> x;
    for (const T value : {T(1), big, -big}) x.insert(x.end(), at(columns), value);
    test::Guarded<T> sums(columns);
    kernels::reduce_rows<T, typename Kind::Arch>(1, scratch, 3, columns, same, T(0), sums.data(), x.data());
    CHECK(sums == test::Guarded<T>(columns, T(0)));
  }
}
TEST_CASE_TEMPLATE_APPLY(order, test::OnEach);
