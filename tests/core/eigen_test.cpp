#include <doctest/doctest.h>

#include <utility>

#include "tombola/eigen.hpp"

using namespace tombola;

// What would be gone is not borrowed.
template <class X>
concept is_mapped = requires(X&& x) { as_eigen(std::forward<X>(x)); };
static_assert(is_mapped<Tensor<float>&> && is_mapped<const Tensor<float>&> && !is_mapped<Tensor<float>> && !is_mapped<const Tensor<float>>);
template <class X>
concept is_viewed = requires(X&& x) { as_view(std::forward<X>(x)); };
static_assert(is_viewed<Eigen::VectorXf&> && is_viewed<const Eigen::VectorXf&> && !is_viewed<Eigen::VectorXf> && !is_viewed<const Eigen::VectorXf>);
static_assert(is_viewed<Eigen::Map<const Eigen::VectorXf>>);

TEST_CASE("a tensor is an Eigen matrix on the same memory") {
  Tensor<float> x({2, 3}, {1, 2, 3, 4, 5, 6});
  auto matrix = as_eigen(x);
  CHECK(matrix.data() == x.data());
  CHECK(matrix.rows() == 2);
  CHECK(matrix(1, 0) == 4);
  matrix(0, 2) = 9;
  CHECK(x[2] == 9);

  const auto& unchanging = x;
  static_assert(!std::is_assignable_v<decltype(as_eigen(unchanging)(0, 0)), float>);
  CHECK((as_eigen(unchanging) * Eigen::Vector3f(1, 1, 1)).isApprox(Eigen::Vector2f(12, 15)));
}

TEST_CASE("all but the last axis are rows") {
  Tensor<double> x({2, 2, 3});
  CHECK(as_eigen(x).rows() == 4);
  CHECK(as_eigen(x).cols() == 3);
  Tensor<double> scalar(Shape{});
  CHECK(as_eigen(scalar).size() == 1);
}

TEST_CASE("an Eigen matrix is a view on the same memory") {
  Eigen::Matrix<float, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor> matrix(2, 3);
  matrix << 1, 2, 3, 4, 5, 6;
  const View<float> view = as_view(matrix);
  CHECK(view.shape() == Shape{2, 3});
  CHECK(view.data() == matrix.data());
  view[4] = 7;
  CHECK(matrix(1, 1) == 7);

  const Eigen::VectorXd vector = Eigen::VectorXd::LinSpaced(4, 0, 3);
  const View<const double> elements = as_view(vector);
  CHECK(elements.shape() == Shape{4});
  CHECK(elements[3] == 3);
}

TEST_CASE("a map is a view on the memory that it maps, and back") {
  Tensor<float> x({2, 3}, {1, 2, 3, 4, 5, 6});
  const View<float> view = as_view(as_eigen(x));
  CHECK(view.shape() == x.shape());
  CHECK(view.data() == x.data());
  const auto& unchanging = x;
  const View<const float> reads = as_view(as_eigen(unchanging));
  CHECK(reads.data() == x.data());
  const double numbers[] = {1, 2, 3};
  const View<const double> of_three = as_view(Eigen::Map<const Eigen::Vector3d>(numbers));
  CHECK(of_three.shape() == Shape{3});
  CHECK(of_three[2] == 3);
}
