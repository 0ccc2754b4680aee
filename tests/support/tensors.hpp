/// \file
/// What tests of tensors share: fixed random values, comparisons, lists.
#pragma once

#include <cmath>
#include <cstdint>
#include <cstring>
#include <random>
#include <utility>
#include <vector>

#include "support/worst.hpp"
#include "tombola/core/tensor.hpp"

namespace test_support {

using tombola::Index, tombola::Shape, tombola::Tensor, tombola::View;

/// Thread numbers whose results must have the same bits.
inline constexpr int thread_counts[] = {1, 2, 3, 7};

/// Uniform in [low, high), a function of the seed alone: std::mt19937 is the same everywhere, and the mapping is our own. The same
/// numbers in float (rounded) and in double.
template <class T>
Tensor<T> random_tensor(const Shape& shape, std::uint32_t seed, double low = -1, double high = 1) {
  std::mt19937 engine(seed);
  Tensor<T> tensor(shape);
  for (T& value : tensor) value = static_cast<T>(low + (high - low) * (engine() * 0x1p-32));
  return tensor;
}

/// The same, with every value at least `gap` away from 0: differences of functions with a kink there stay on one side.
template <class T>
Tensor<T> random_off_zero(const Shape& shape, std::uint32_t seed, double low = -1, double high = 1, double gap = 0.01) {
  Tensor<T> tensor = random_tensor<T>(shape, seed, low, high);
  for (T& value : tensor) {
    if (std::abs(value) < static_cast<T>(gap)) value = value < T(0) ? static_cast<T>(-gap) : static_cast<T>(gap);
  }
  return tensor;
}

template <class To, class From>
Tensor<To> converted(const Tensor<From>& from) {
  Tensor<To> to(from.shape());
  for (Index i = 0; i < from.size(); ++i) to[i] = static_cast<To>(from[i]);
  return to;
}

template <class T>
bool same_bits(View<const T> a, View<const T> b) {
  return a.shape() == b.shape() &&
         (a.size() == 0 || std::memcmp(a.data(), b.data(), static_cast<std::size_t>(a.size()) * sizeof(T)) == 0);
}
template <class T>
bool same_bits(const Tensor<T>& a, const Tensor<T>& b) {
  return same_bits<T>(a.view(), b.view());
}

/// max_i |got_i - expected_i| / max(1, |expected_i|); infinite where the shapes differ or something is NaN.
template <class T>
double largest_error(View<const T> got, View<const double> expected) {
  if (got.shape() != expected.shape()) return INFINITY;
  double worst = 0;
  for (Index i = 0; i < got.size(); ++i) {
    const double error = std::abs(static_cast<double>(got[i]) - expected[i]) / std::max(1.0, std::abs(expected[i]));
    tombola::test::widen(worst, error);
  }
  return worst;
}
template <class T>
double largest_error(const Tensor<T>& got, const Tensor<double>& expected) {
  return largest_error<T>(got.view(), expected.view());
}
template <class T>
double largest_error(View<const T> got, const Tensor<double>& expected) {
  return largest_error<T>(got, expected.view());
}

/// The tensors as a list, such as `check_gradient` takes.
template <class T, class... More>
std::vector<Tensor<T>> list(Tensor<T> first, More... more) {
  std::vector<Tensor<T>> all;
  all.push_back(std::move(first));
  (all.push_back(std::move(more)), ...);
  return all;
}

}  // namespace test_support
