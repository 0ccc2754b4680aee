#include <doctest/doctest.h>

#include "tombola/eigen.hpp"

using namespace tombola;

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
