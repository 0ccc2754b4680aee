#include "tombola/kernels/gemm.hpp"

#include <doctest/doctest.h>

#include <array>
#include <atomic>
#include <cmath>
#include <cstring>
#include <limits>
#include <vector>

#include "support/architectures.hpp"
#include "support/arrays.hpp"
#include "support/worst.hpp"
#include "tombola/core/tensor.hpp"

using namespace tombola;
using kernels::Matrix;

namespace {

template <class T>
struct Stored {
  std::vector<T> values;
  Matrix<T> matrix;
};

/// Numbers in [-1, 1), stored row-major or transposed, with `gap` unused elements after every line, which are NaN.
template <class T>
Stored<T> random_matrix(Index rows, Index columns, bool transposed, Index gap, std::uint32_t seed) {
  const Index lines = transposed ? columns : rows, length = transposed ? rows : columns, stride = length + gap;
  Stored<T> stored{std::vector<T>(static_cast<std::size_t>(lines * stride), std::numeric_limits<T>::quiet_NaN()), {}};
  const auto numbers = test::uniform<T>(lines * length, -1, 1, seed);
  for (Index i = 0; i < lines; ++i) std::copy_n(numbers.data() + i * length, length, stored.values.data() + i * stride);
  const Matrix<T> lines_matrix{stored.values.data(), lines, length, stride, 1};
  stored.matrix = transposed ? lines_matrix.transposed() : lines_matrix;
  return stored;
}

template <class T>
Matrix<const T> constant(const Matrix<T>& matrix) {
  return matrix;
}

/// The largest of |c - a b - beta c0| / (|a| |b| + |c0|), the sums in long double: rounding makes it k + 2 units at most,
/// because a sum of k products passes through at most k additions in whatever order, and is rounded once more per visit.
template <class T, class A, class B>
double error(const A& a, const B& b, T beta, const Matrix<T>& before, const Matrix<T>& c) {
  double worst = 0;
  for (Index i = 0; i < c.rows; ++i) {
    for (Index j = 0; j < c.columns; ++j) {
      long double sum = beta == T(0) ? 0 : static_cast<long double>(*before.at(i, j)), size = std::abs(sum);
      for (Index k = 0; k < a.columns; ++k) {
        const long double term = static_cast<long double>(*a.at(i, k)) * static_cast<long double>(*b.at(k, j));
        sum += term;
        size += std::abs(term);
      }
      const long double difference = std::abs(static_cast<long double>(*c.at(i, j)) - sum);
      const auto scaled =
          static_cast<double>(difference == 0 ? 0 : difference / (size * std::numeric_limits<T>::epsilon()));
      test::widen(worst, scaled);
    }
  }
  return worst;
}

template <class Arch, class T>
void check_product(Workspace& scratch, Index m, Index n, Index k, bool a_transposed, bool b_transposed, T beta,
                   Index gap) {
  CAPTURE(m);
  CAPTURE(n);
  CAPTURE(k);
  CAPTURE(a_transposed);
  CAPTURE(b_transposed);
  CAPTURE(beta);
  const auto a = random_matrix<T>(m, k, a_transposed, gap, 1), b = random_matrix<T>(k, n, b_transposed, gap, 2);
  auto c = random_matrix<T>(m, n, false, gap, 3);
  const auto before = c;
  const Matrix<T> c_before{const_cast<T*>(before.values.data()), m, n, n + gap, 1};
  const Matrix<T> result{c.values.data(), m, n, n + gap, 1};
  if (beta == T(0)) std::fill(c.values.begin(), c.values.end(), std::numeric_limits<T>::quiet_NaN());
  kernels::gemm<Arch>(1, scratch, constant(a.matrix), constant(b.matrix), beta, result);
  CHECK(error(a.matrix, b.matrix, beta, c_before, result) <= static_cast<double>(k + 2));
  bool intact = true;  // what lies between the rows is NaN still
  for (Index i = 0; i < m; ++i) {
    for (Index j = n; j < n + gap; ++j) intact = intact && std::isnan(*result.at(i, j));
  }
  CHECK(intact);
}

/// Every transpose, beta and tail; the extents walk through `sizes` in different steps.
template <class Arch, class T>
void check_tails() {
  constexpr Index sizes[] = {0, 1, 2, 3, 5, 7, 13, 14, 15, 16, 17, 31, 32, 33, 47, 64, 65, 100};
  constexpr std::size_t count = std::size(sizes);
  Workspace scratch;
  for (std::size_t i = 0; i < count * count; ++i) {
    const Index m = sizes[i % count], n = sizes[i / count], k = sizes[(5 * i + 7 * (i / count)) % count];
    check_product<Arch, T>(scratch, m, n, k, i % 2 != 0, i / 2 % 2 != 0, static_cast<T>(i / 4 % 2), i % 3 == 0 ? 3 : 0);
  }
}

/// Shapes that take every way through the plan: blocks of k, packed beforehand, packed by the chunk, read directly, split.
template <class Arch, class T>
void check_plans() {
  constexpr Index shapes[][3] = {{128, 100, 300}, {29, 27, 4000}, {300, 100, 70},
                                 {1500, 20, 33},  {30, 1600, 50}, {800, 800, 40}, {500, 900, 200},
                                 {1100, 8, 520},  {8, 1100, 520},   // an operand above 2 MiB, asked for ahead of time
                                 {16, 20, 33000}, {450, 20, 2100},   // the same, read across k; a long B, packed for fewer rows
                                 {1040, 20, 1024}, {512, 100, 150}};  // A: above 2 MiB and packed, asked for; packed by each chunk for itself
  Workspace scratch;
  for (const auto& shape : shapes) {
    const Index m = shape[0], n = shape[1], k = shape[2];
    for (int form = 0; form < 4; ++form)
      check_product<Arch, T>(scratch, m, n, k, form % 2 != 0, form / 2 != 0, T(form % 2), 0);
  }
  // Tiles of A are packed while others are multiplied.
  check_product<Arch, T>(scratch, 1030, 50, 790, true, false, 0, 0);   // two visits to C; the last tiles are lower
  check_product<Arch, T>(scratch, 1032, 50, 40, true, true, 1, 3);     // one visit, all tiles of the same height
  check_product<Arch, T>(scratch, 200, 50, 3080, true, false, 0, 56);  // slices of k with sums of their own
  check_product<Arch, T>(scratch, 295, 100, 70, true, false, 0, 600);  // few tiles
}

template <class T>
bool same_bits(const std::vector<T>& a, const std::vector<T>& b) {
  return a.size() == b.size() && std::memcmp(a.data(), b.data(), a.size() * sizeof(T)) == 0;
}

/// Supplies the product of two matrices while it is packed, and counts how often each element is asked for.
struct Hadamard {
  const Matrix<const float>&x, &y;
  Index rows, columns;
  std::vector<std::atomic<int>>& asked;

  bool lines_are_rows() const { return x.lines_are_rows(); }
  const float* line(Index line, Index first, Index count, float* buffer) const noexcept {
    const float *left = x.line(line, first, count, nullptr), *right = y.line(line, first, count, nullptr);
    const Index length = lines_are_rows() ? columns : rows;
    for (Index i = 0; i < count; ++i) {
      buffer[i] = left[i] * right[i];
      asked[static_cast<std::size_t>(line * length + first + i)].fetch_add(1);
    }
    return buffer;
  }
};

}  // namespace

TEST_CASE_TEMPLATE_DEFINE("gemm: every tail", Each, tails) { check_tails<typename Each::Arch, typename Each::T>(); }
TEST_CASE_TEMPLATE_APPLY(tails, test::OnEach);

TEST_CASE_TEMPLATE_DEFINE("gemm: every plan", Each, plans) { check_plans<typename Each::Arch, typename Each::T>(); }
TEST_CASE_TEMPLATE_APPLY(plans, test::OnEach);

TEST_CASE("gemm: threads have as many tiles each, to one, where chunks are blocks of tiles") {
  for (const Index rows : {1000, 1024, 2048, 5000}) {
    for (const Index threads : {1, 2, 3, 7, 16}) {
      const kernels::GemmPlan plan = kernels::plan_gemm<float, simd::Native>(rows, 1024, 1024, false, false, threads);
      CAPTURE(rows);
      CAPTURE(threads);
      REQUIRE(plan.parts == 1);
      CHECK((plan.tile_blocks % threads == 0 || plan.tile_blocks == plan.tiles));
      const auto tiles = [&](Index thread) {
        const Range blocks = kernels::spread_part(plan.tile_blocks, threads, thread);
        return kernels::spread_part(plan.tiles, plan.tile_blocks, blocks.last - 1).last -
               kernels::spread_part(plan.tiles, plan.tile_blocks, blocks.first).first;
      };
      for (Index thread = 0; thread < threads; ++thread) CHECK(std::abs(tiles(thread) - plan.tiles / threads) <= 1);
    }
  }
}

TEST_CASE("gemm: the plans of this test are the intended ones") {
  using kernels::plan_gemm;
  CHECK(plan_gemm<float, simd::Native>(29, 27, 4000, false, false).split);
  CHECK(plan_gemm<float, simd::Native>(800, 800, 40, false, false).share_b());
  // Each chunk packs its own A where A is high enough and what of B it reads again is little, or else no longer than twice as high.
  const auto shares_a = [](Index m, Index n, Index k) { return plan_gemm<float, simd::Native>(m, n, k, false, false).share_a(); };
  CHECK((shares_a(500, 900, 200) && !shares_a(800, 800, 40) && !shares_a(800, 1200, 700)));
  CHECK((shares_a(512, 3072, 768) && shares_a(1024, 3072, 768) && !shares_a(1536, 3072, 768)));
  CHECK_FALSE(plan_gemm<float, simd::Native>(30, 1600, 50, false, false).share_b());
  CHECK(plan_gemm<float, simd::Native>(800, 800, 900, false, false).slices > 1);
  using Tile = kernels::GemmTile<float, simd::Native>;
  const auto dealt = [](Index threads) { return plan_gemm<float, simd::Native>(100, 19 * Tile::width, 700, true, false, threads); };
  CHECK(dealt(1).parts == 1);
  CHECK((dealt(2).part_columns == 9 * Tile::width && dealt(2).rest_panels() == 1));
  CHECK(dealt(19).rest_panels() == 0);
  CHECK((dealt(20).part_panels == 0 && dealt(20).chunks() == 20 * dealt(20).panels));
  // A higher A is read again for each panel only where each thread has a wide one, and B is no hook.
  const auto higher = [](Index registers, Index threads, bool deals_out) {
    return plan_gemm<float, simd::Native>(96 * Tile::rows, registers * Tile::width, 700, true, false, threads, deals_out);
  };
  for (const Index threads : {1, 2, 3}) {
    CHECK(higher(9, threads, true).share_b() != Tile::many_registers);
    CHECK((higher(3 * threads - 1, threads, true).share_b() && higher(9, threads, false).share_b()));
  }
  // Above 2 MiB, columns of A that each worker packs and rows of B read where they lie are asked for ahead of time.
  const auto rows_of = [](Index rows, Index columns) { return Matrix<const float>{nullptr, rows, columns, columns, 1}; };
  CHECK_FALSE(kernels::reads_a_directly<Tile>(rows_of(520, 1100).transposed(), 8));
  for (const bool direct_b : {false, true}) CHECK_FALSE(plan_gemm<float, simd::Native>(1100, 8, 520, false, direct_b).share_a());
  CHECK(kernels::reads_b_directly<Tile>(rows_of(520, 1100), 8));
  CHECK(kernels::reads_b_directly<Tile>(rows_of(2200, 272), 200));
  // So are columns of A that are read where they lie; a long B is packed for fewer rows.
  CHECK(kernels::reads_a_directly<Tile>(rows_of(33000, 16).transposed(), 20));
  CHECK(plan_gemm<float, simd::Native>(16, 20, 33000, true, true).split);
  CHECK(kernels::reads_b_directly<Tile>(rows_of(2000, 20), 60));
  CHECK(kernels::reads_b_directly<Tile>(rows_of(2000, 20), 450) == Tile::many_registers);
  CHECK_FALSE(kernels::reads_b_directly<Tile>(rows_of(2100, 20), 450));
  // Columns of A that each worker packs, of the next block while it multiplies.
  for (const Index k : {40, 790}) CHECK_FALSE(kernels::reads_a_directly<Tile>(rows_of(k, 1032).transposed(), 50));
  for (const Index k : {40, 790}) CHECK_FALSE(plan_gemm<float, simd::Native>(1032, 50, k, false, false).share_a());
  CHECK(plan_gemm<float, simd::Native>(1032, 50, 790, false, false).depth < 790);
  CHECK(plan_gemm<float, simd::Native>(1030, 60, 1600, false, false).slices > 1);
  CHECK(plan_gemm<float, simd::Native>(256, 60, 6200, false, false).split);
  for (const Index k : {40, 1600}) CHECK_FALSE(kernels::reads_a_directly<Tile>(rows_of(k, 1032).transposed(), 60));
  CHECK_FALSE(kernels::reads_a_directly<Tile>(rows_of(6200, 256).transposed(), 60));
  CHECK_FALSE(kernels::reads_a_directly<Tile>(Matrix<const float>{nullptr, 70, 295, 895, 1}.transposed(), 100));
  CHECK_FALSE(kernels::reads_a_directly<Tile>(Matrix<const float>{nullptr, 3080, 200, 256, 1}.transposed(), 50));
  CHECK(plan_gemm<float, simd::Native>(200, 50, 3080, false, false).split);
  // Rows of A that each worker packs, asked for while it multiplies; two visits to C.
  CHECK_FALSE(kernels::reads_a_directly<Tile>(rows_of(1040, 1024), 60));
  CHECK_FALSE(plan_gemm<float, simd::Native>(1040, 60, 1024, false, false).share_a());
  CHECK(plan_gemm<float, simd::Native>(1040, 60, 1024, false, false).depth == 512);
  // The chunks of a lower A pack it for themselves where B is read as it lies, and small; more of them for more threads.
  const auto low = [](Index n, Index threads) { return plan_gemm<float, simd::Native>(512, n, 300, false, true, threads); };
  const bool high_tiles = Tile::rows == 8;  // blocks of 64 rows; of 42 or 48 with tiles of six
  CHECK((!low(200, 2).share_a() && low(200, 2).chunks() == (high_tiles ? 8 : 12) && low(200, 4).chunks() == (high_tiles ? 16 : 24)));
  CHECK(low(7000, 2).share_a());
  CHECK_FALSE(kernels::reads_a_directly<Tile>(rows_of(300, 512).transposed(), 200));
  // A chunk's next one may have the same rows of such an A.
  CHECK(kernels::reads_a_directly<Tile>(rows_of(4160, 200).transposed(), 192));
  const auto plan = plan_gemm<float, simd::Native>(200, 192, 4160, true, true);
  CHECK((plan.split || (plan.tile_blocks > 1 && plan.panel_blocks > 1)));
}

TEST_CASE_TEMPLATE_DEFINE("gemm: tiles packed step by step are as those packed at once", Each, step_by_step) {
  using T = typename Each::T;
  using Arch = typename Each::Arch;
  constexpr Index stride = kernels::GemmTile<T, Arch>::row_stride;
  const Index height = stride - 1, tiles = 5, k = 23, apart = stride * k + 3;
  const auto a = random_matrix<T>(tiles * height + 1, k, true, 2, 1);
  std::vector<T> buffer(static_cast<std::size_t>(kernels::lines_across * (tiles * height + 1))), expected(static_cast<std::size_t>(tiles * apart));
  kernels::pack_across_k<stride, Arch>(constant(a.matrix), {0, tiles * height + 1}, {0, k}, tiles, [&](Index t) { return t * height; },
                                       expected.data(), apart, buffer.data());
  for (const Index depth : {1, 4, 5, 16, 200}) {
    CAPTURE(depth);
    std::vector<T> packed(expected.size());
    kernels::GemmNextTiles<T, stride> next{{a.matrix.data, a.matrix.column_stride, packed.data(), tiles, height, apart}, tiles * k};
    Index calls = 0;
    for (; next.parts_left > 0; ++calls) {
      kernels::detail::Meanwhile<T, Arch, stride> meanwhile(next.take(depth));
      for (Index step = 0; step < depth; ++step) meanwhile.step();
    }
    CHECK(calls == divide_up(tiles * k, depth));
    CHECK(same_bits(packed, expected));
  }
}
TEST_CASE_TEMPLATE_APPLY(step_by_step, test::OnEach);

TEST_CASE("gemm: which lines stay in the first-level cache") {
  using kernels::stays_in_cache;
  CHECK(stays_in_cache(512, 17 * 64));  // an odd number of lines apart: all 64 places are used
  CHECK_FALSE(stays_in_cache(513, 17 * 64));
  CHECK(stays_in_cache(128, 12 * 64));  // every fourth place
  CHECK_FALSE(stays_in_cache(129, 12 * 64));
  CHECK(stays_in_cache(8, 4096));
  CHECK_FALSE(stays_in_cache(9, 4096));
  CHECK(stays_in_cache(256, 1000));  // two lines each
  CHECK_FALSE(stays_in_cache(257, 1000));
}

TEST_CASE("gemm: by hand") {
  const Tensor<float> a({2, 3}, {1, 2, 3, 4, 5, 6}), b({3, 2}, {1, 0, 0, 1, 2, -1});
  Tensor<float> c({2, 2}, {10, 20, 30, 40});
  Workspace scratch;
  kernels::gemm(1, scratch, kernels::matrix(a.view()), kernels::matrix(b.view()), 1, kernels::matrix(c.view()));
  CHECK(std::vector<float>(c.begin(), c.end()) == std::vector<float>{17, 19, 46, 39});
}

TEST_CASE("gemm: the same bits for any number of threads, packed or not") {
  constexpr Index shapes[][3] = {{128, 300, 784}, {300, 784, 128}, {29, 27, 4000},
                                 {1800, 64, 64},  {900, 800, 800}, {40, 2000, 300},
                                 {200, 272, 2200}, {1100, 8, 520},  {16, 20, 33000},  // these three: B or A is asked for ahead of time
                                 {1032, 60, 40},  {1030, 60, 1600}, {256, 60, 6200},  // A is packed ahead of time: in several slices, each with its sums
                                 {1040, 60, 1024}, {512, 200, 300},  // rows of A are asked for ahead of time; each chunk packs its own A
                                 {100, 10, 700},  {250, 96, 100}};  // panels are dealt out: fewer registers than threads; as many for each of two
  Workspace scratch;
  for (const auto& shape : shapes) {
    const Index m = shape[0], n = shape[1], k = shape[2];
    for (int form = 0; form < 4; ++form) {
      CAPTURE(m);
      CAPTURE(form);
      const auto a = random_matrix<float>(m, k, form % 2 != 0, 0, 1),
                 b = random_matrix<float>(k, n, form / 2 != 0, 0, 2);
      const auto ones_a = std::vector<float>(a.values.size(), 1), ones_b = std::vector<float>(b.values.size(), 1);
      const Matrix<const float> x = a.matrix, y = b.matrix;
      const Matrix<const float> one_a{ones_a.data(), m, k, x.row_stride, x.column_stride};
      const Matrix<const float> one_b{ones_b.data(), k, n, y.row_stride, y.column_stride};
      std::vector<float> expected(static_cast<std::size_t>(m * n)), got(expected.size());
      kernels::gemm(1, scratch, x, y, 0, Matrix<float>{expected.data(), m, n, n, 1});
      for (const int threads : test::thread_counts) {
        kernels::gemm(threads, scratch, x, y, 0, Matrix<float>{got.data(), m, n, n, 1});
        CHECK(same_bits(expected, got));
      }
      std::vector<std::atomic<int>> asked_a(a.values.size()), asked_b(b.values.size());
      kernels::gemm(3, scratch, Hadamard{x, one_a, m, k, asked_a}, Hadamard{y, one_b, k, n, asked_b}, 0,
                    Matrix<float>{got.data(), m, n, n, 1});
      CHECK(same_bits(expected, got));
      const auto once = [](const auto& asked) {
        return std::all_of(asked.begin(), asked.end(), [](int n) { return n == 1; });
      };
      CHECK(once(asked_a));
      CHECK(once(asked_b));
    }
  }
}

TEST_CASE("gemm: the epilogue sees every finished element once") {
  Workspace scratch;
  for (const auto& shape : {std::array<Index, 3>{70, 90, 800}, {29, 27, 4000}, {5, 3, 0}}) {
    const Index m = shape[0], n = shape[1], k = shape[2];
    const auto a = random_matrix<float>(m, k, false, 0, 1), b = random_matrix<float>(k, n, false, 0, 2);
    std::vector<float> plain(static_cast<std::size_t>(m * n)), finished(plain.size());
    kernels::gemm(2, scratch, constant(a.matrix), constant(b.matrix), 0, Matrix<float>{plain.data(), m, n, n, 1});
    const auto epilogue = [](float* values, Index row, Index column, Index count) {
      for (Index j = 0; j < count; ++j) values[j] += static_cast<float>(100 * row + column + j + 1);
    };
    kernels::gemm(2, scratch, constant(a.matrix), constant(b.matrix), 0, Matrix<float>{finished.data(), m, n, n, 1},
                  epilogue);
    for (Index i = 0; i < m * n; ++i)
      plain[static_cast<std::size_t>(i)] += static_cast<float>(100 * (i / n) + i % n + 1);
    CHECK(same_bits(plain, finished));
  }
}

TEST_CASE("gemm: infinities and NaN pass through, and stay in their row and column") {
  auto a = random_matrix<float>(20, 40, false, 0, 1), b = random_matrix<float>(40, 50, false, 0, 2);
  *a.matrix.at(3, 5) = std::numeric_limits<float>::infinity();
  *b.matrix.at(7, 49) = std::numeric_limits<float>::quiet_NaN();
  std::vector<float> c(1000);
  Workspace scratch;
  kernels::gemm(1, scratch, constant(a.matrix), constant(b.matrix), 0, Matrix<float>{c.data(), 20, 50, 50, 1});
  for (Index i = 0; i < 20; ++i) {
    for (Index j = 0; j < 50; ++j) {
      const float value = c[static_cast<std::size_t>(i * 50 + j)];
      CHECK(std::isnan(value) == (j == 49));
      CHECK(std::isinf(value) == (i == 3 && j != 49));
    }
  }
}

TEST_CASE("gemm: any scalar") {
  Workspace scratch;
  check_product<simd::Native, long double>(scratch, 13, 9, 31, false, true, 0, 0);
  check_product<simd::Native, long double>(scratch, 13, 9, 31, true, false, 1, 2);
}
