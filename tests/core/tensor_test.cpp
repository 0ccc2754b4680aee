#include "tombola/core/tensor.hpp"

#include <doctest/doctest.h>

#include <cmath>
#include <cstdint>
#include <vector>

using namespace tombola;

static_assert(!std::is_copy_constructible_v<Tensor<float>> && !std::is_copy_assignable_v<Tensor<float>>);
static_assert(std::is_nothrow_move_constructible_v<Tensor<float>> && std::is_nothrow_move_assignable_v<Tensor<float>>);
static_assert(std::is_convertible_v<View<float>, View<const float>>);
static_assert(!std::is_convertible_v<View<const float>, View<float>>);
template <class T>
concept has_view = requires(T&& tensor) { std::forward<T>(tensor).view(); };
static_assert(has_view<Tensor<float>&> && has_view<const Tensor<float>&> && !has_view<Tensor<float>>);

namespace {

template <class T>
std::vector<T> values(const Tensor<T>& tensor) {
  return {tensor.begin(), tensor.end()};
}

}  // namespace

TEST_CASE("tensor: zeros, a value, given values") {
  const Tensor<float> zeros({2, 3});
  CHECK(zeros.shape() == Shape{2, 3});
  CHECK(zeros.size() == 6);
  CHECK(values(zeros) == std::vector<float>(6, 0.0f));
  CHECK(values(Tensor<int>::filled({3}, 7)) == std::vector<int>{7, 7, 7});
  const Tensor<double> given({2, 2}, {1, 2, 3, 4});
  CHECK(values(given) == std::vector<double>{1, 2, 3, 4});
  CHECK(given[2] == 3);
  CHECK_THROWS_WITH_AS(Tensor<int>({2, 3}, {1, 2, 3}), "tensor: expected 6 values for [2, 3], got 3",
                       std::invalid_argument);
}

TEST_CASE("tensor: empty by default, one element as a scalar") {
  const Tensor<float> empty;
  CHECK(empty.size() == 0);
  CHECK(empty.shape() == Shape{0});
  CHECK(empty.begin() == empty.end());
  const Tensor<float> scalar(Shape{});
  CHECK(scalar.size() == 1);
  CHECK(scalar[0] == 0.0f);
}

TEST_CASE("tensor: begins at a multiple of 64 bytes, from the system and from a pool") {
  Pool pool;
  for (Index n = 1; n < 200; n += 13) {
    const auto own = Tensor<std::uint8_t>::uninitialized({n});
    const auto pooled = Tensor<std::uint8_t>::uninitialized({n}, pool);
    CHECK(reinterpret_cast<std::uintptr_t>(own.data()) % 64 == 0);
    CHECK(reinterpret_cast<std::uintptr_t>(pooled.data()) % 64 == 0);
  }
}

TEST_CASE("tensor: a clone shares nothing") {
  Tensor<int> original({3}, {1, 2, 3});
  Tensor<int> copy = original.clone();
  copy[0] = 9;
  CHECK(original[0] == 1);
  CHECK(copy[0] == 9);
  CHECK(copy.shape() == Shape{3});
}

TEST_CASE("tensor: a move takes the elements and leaves an empty tensor") {
  Tensor<int> first({2, 2}, {1, 2, 3, 4});
  const int* data = first.data();
  Tensor<int> second = std::move(first);
  CHECK(second.data() == data);
  CHECK(second.shape() == Shape{2, 2});
  CHECK(first.shape() == Shape{0});  // NOLINT(bugprone-use-after-move): that is what is tested
  CHECK(first.data() == nullptr);

  Tensor<int> third({5});
  third = std::move(second);
  CHECK(third.data() == data);
  CHECK(third[3] == 4);
  CHECK(second.shape() == Shape{0});  // NOLINT(bugprone-use-after-move)
  CHECK(second.data() == nullptr);

  Tensor<int>& self = third;
  third = std::move(self);
  CHECK(third.shape() == Shape{2, 2});
  CHECK(third.data() == data);
}

TEST_CASE("tensor: copies what a view shows") {
  const int numbers[] = {1, 2, 3, 4, 5, 6};
  const auto tensor = Tensor<int>::copy_of(View<const int>(numbers, {2, 3}).slice(1, 2));
  CHECK(tensor.shape() == Shape{1, 3});
  CHECK(values(tensor) == std::vector<int>{4, 5, 6});
}

TEST_CASE("view: reads and writes the owner's elements") {
  Tensor<int> tensor({2, 3}, {1, 2, 3, 4, 5, 6});
  const View<int> view = tensor;
  view[4] = 50;
  CHECK(tensor[4] == 50);
  CHECK(view.row(1) == tensor.data() + 3);
  CHECK(View<const int>(view).data() == tensor.data());
  CHECK(View<int>().size() == 0);
}

TEST_CASE("view: reshape keeps the elements") {
  Tensor<int> tensor({2, 3}, {1, 2, 3, 4, 5, 6});
  const View<int> column = tensor.view().reshape({6, 1});
  CHECK(column.shape() == Shape{6, 1});
  CHECK(column.data() == tensor.data());
  CHECK_THROWS_WITH_AS(tensor.view().reshape({4}), "reshape: expected 6 elements, got [4]", std::invalid_argument);
}

TEST_CASE("view: slice along the outermost axis") {
  Tensor<int> tensor({3, 2, 2});
  const View<int> part = tensor.view().slice(1, 3);
  CHECK(part.shape() == Shape{2, 2, 2});
  CHECK(part.data() == tensor.data() + 4);
  CHECK(tensor.view().slice(3, 3).shape() == Shape{0, 2, 2});
  const Tensor<int> empty({0, 4}), scalar(Shape{});
  CHECK(empty.view().slice(0, 0).shape() == Shape{0, 4});
  const View<int> view = tensor;
  CHECK_THROWS_WITH_AS(view.slice(-1, 2), "slice: expected a range within [3, 2, 2], got [-1, 2)",
                       std::invalid_argument);
  CHECK_THROWS_WITH_AS(view.slice(2, 1), "slice: expected a range within [3, 2, 2], got [2, 1)", std::invalid_argument);
  CHECK_THROWS_WITH_AS(view.slice(0, 4), "slice: expected a range within [3, 2, 2], got [0, 4)", std::invalid_argument);
  CHECK_THROWS_WITH_AS(scalar.view().slice(0, 1), "slice: expected a range within [], got [0, 1)", std::invalid_argument);
}

TEST_CASE("tensors and views as text") {
  CHECK(concat(Tensor<int>({2, 3}, {1, 2, 3, -4, 5, 6})) == "[[1, 2, 3],\n [-4, 5, 6]]");
  CHECK(concat(Tensor<float>({3}, {0.5f, -2, NAN})) == "[0.5, -2, nan]");
  CHECK(concat(Tensor<std::uint8_t>({2}, {0, 255})) == "[0, 255]");  // numbers, not characters
  CHECK(concat(Tensor<double>(Shape{}, {7})) == "7");
  CHECK(concat(Tensor<float>()) == "[]");
  CHECK(concat(Tensor<float>({Index{1} << 40, 0, Index{1} << 40})) == "[]");
  CHECK(concat(Tensor<int>({2, 2, 1}, {1, 2, 3, 4})) == "[[[1],\n  [2]],\n\n [[3],\n  [4]]]");

  Tensor<int> long_one({1001}), whole({1000});
  for (Index i = 0; i < long_one.size(); ++i) long_one[i] = static_cast<int>(i);
  CHECK(concat(long_one.view()) == "[0, 1, 2, ..., 998, 999, 1000]");
  CHECK(concat(whole).size() == 3000);
  const Tensor<int> narrow({500, 3});
  CHECK(concat(narrow) == "[[0, 0, 0],\n [0, 0, 0],\n [0, 0, 0],\n ...,\n [0, 0, 0],\n [0, 0, 0],\n [0, 0, 0]]");
  const View<const int> rows = narrow.view().slice(498, 500);
  CHECK(concat(rows) == "[[0, 0, 0],\n [0, 0, 0]]");
}
