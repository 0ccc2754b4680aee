/// \file
/// The product of two matrices, with operands that may be supplied while they are packed and results finished in place.
#pragma once

#include "tombola/core/memory.hpp"
#include "tombola/kernels/gemm_product.hpp"

namespace tombola::inline TOMBOLA_ISA::kernels {

namespace detail {

/// The same product for a scalar that registers do not hold: both operands copied, then three loops.
template <class T, class A, class B, class Epilogue>
void gemm_plain(const Threads& threads, Workspace& scratch, const A& a, const B& b, T beta, const Matrix<T>& c,
                const Epilogue& epilogue) {
  const Index k = a.columns, widest = std::max({c.rows, c.columns, k});
  T* a_copy = scratch.take<T>(static_cast<std::size_t>((c.rows + c.columns) * k + widest));
  T* b_copy = a_copy + c.rows * k;
  T* buffer = b_copy + k * c.columns;
  const auto copy = [&](const auto& source, T* out) {
    const bool rows = source.lines_are_rows();
    const Index lines = rows ? source.rows : source.columns, length = rows ? source.columns : source.rows;
    for (Index i = 0; i < lines; ++i) {
      const T* line = source.line(i, 0, length, buffer);
      for (Index j = 0; j < length; ++j) out[rows ? i * length + j : j * lines + i] = line[j];
    }
  };
  copy(a, a_copy);
  copy(b, b_copy);
  const Threads alone(1);
  parallel_for(c.rows * c.columns * k < 65536 ? alone : threads, c.rows, [&](Index i) {
    T* row = c.data + i * c.row_stride;
    if (beta == T(0)) std::fill_n(row, c.columns, T(0));
    for (Index p = 0; p < k; ++p) {
      for (Index j = 0; j < c.columns; ++j) row[j] += a_copy[i * k + p] * b_copy[p * c.columns + j];
    }
    epilogue(row, i, Index{0}, c.columns);
  });
}

/// The same without a term.
template <class T, class Epilogue>
void gemm_of_nothing(T beta, const Matrix<T>& c, const Epilogue& epilogue) noexcept {
  for (Index i = 0; i < c.rows; ++i) {
    T* row = c.data + i * c.row_stride;
    if (beta == T(0)) std::fill_n(row, c.columns, T(0));
    epilogue(row, i, Index{0}, c.columns);
  }
}

}  // namespace detail

/// c = a b + beta c, then the epilogue on c.
/// a [m, k], b [k, n], c [m, n] row-major and apart from a and b; beta 0 (c is not read) or 1.
/// An operand is a Matrix or a hook with `rows`, `columns`, `lines_are_rows()` and `line(i, first, count, buffer)`, which
/// returns `count` elements of a row (column) from `first`, in the buffer or where they lie. Every element is asked for
/// once, by any thread; along k, `first` is a multiple of 16. `epilogue(values, row, column, count)` may change the
/// finished c(row, column ...), a piece of a row at a time. The same bits for any number of threads.
/// Throws `std::bad_alloc` if the scratch memory cannot grow.
template <class Arch = simd::Native, class T, class A, class B, class Epilogue = NoEpilogue>
requires GemmOperand<A, T> && GemmOperand<B, T>
void gemm(const Threads& threads, Workspace& scratch, const A& a, const B& b, std::type_identity_t<T> beta, const Matrix<T>& c,
          const Epilogue& epilogue = {}) {
  assert(a.rows == c.rows && b.columns == c.columns && a.columns == b.rows && c.column_stride == 1);
  assert(beta == T(0) || beta == T(1));
  if (c.rows == 0 || c.columns == 0) return;
  if constexpr (std::is_same_v<T, float> || std::is_same_v<T, double>) {
    if (a.columns == 0) return detail::gemm_of_nothing(beta, c, epilogue);
    // Waking a second thread takes as long as this many multiplications.
    const Threads alone(1);
    const Threads& useful = c.rows * c.columns * a.columns < Index{1} << 19 ? alone : threads;
    detail::GemmProduct<T, Arch, A, B, Epilogue> product(a, b, beta, c, epilogue, useful.count());
    product.run(useful, scratch.take<T>(product.scratch(useful)));
  } else {
    detail::gemm_plain(threads, scratch, a, b, beta, c, epilogue);
  }
}

}  // namespace tombola::inline TOMBOLA_ISA::kernels
