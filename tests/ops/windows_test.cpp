#include "tombola/ops/windows.hpp"

#include "support/op.hpp"
#include "tombola/ops/relative_position_bias.hpp"

using namespace tombola;
using namespace test_support;

namespace {

/// The numbers from 1 on.
Tensor<float> numbered(const Shape& shape) {
  Tensor<float> x(shape);
  for (Index i = 0; i < x.size(); ++i) x[i] = static_cast<float>(i + 1);
  return x;
}

std::vector<int> values(const Var<float>& x) { return {x.value().data(), x.value().data() + x.value().size()}; }

struct Cut {
  Shape image;
  Index window, shift;
};
const Cut cuts[] = {{{2, 4, 6, 3}, 2, 0}, {{2, 4, 6, 3}, 2, 1}, {{1, 5, 7, 2}, 3, 0}, {{1, 5, 7, 2}, 3, 2}, {{1, 2, 2, 1}, 4, 3}, {{3, 1, 1, 5}, 1, 0}};

}  // namespace

TEST_CASE("to_windows: by hand") {
  Context context(1);
  Inference<float> pass(context);
  const auto x = pass.input(numbered({1, 4, 4, 1}));
  CHECK(values(to_windows(x, 2)) == std::vector{1, 2, 5, 6, 3, 4, 7, 8, 9, 10, 13, 14, 11, 12, 15, 16});
  CHECK(values(to_windows(x, 2, 1)) == std::vector{6, 7, 10, 11, 8, 5, 12, 9, 14, 15, 2, 3, 16, 13, 4, 1});
  const auto small = pass.input(numbered({1, 2, 3, 1}));  // padded to 2 x 4
  CHECK(values(to_windows(small, 2)) == std::vector{1, 2, 4, 5, 3, 0, 6, 0});
  CHECK(values(to_windows(small, 2, 1)) == std::vector{5, 6, 2, 3, 0, 4, 0, 1});
}

TEST_CASE("merge_patches: by hand") {
  Context context(1);
  Inference<float> pass(context);
  CHECK(values(merge_patches(pass.input(numbered({1, 2, 4, 1})))) == std::vector{1, 5, 2, 6, 3, 7, 4, 8});
  const auto y = merge_patches(pass.input(numbered({1, 1, 3, 2})));
  CHECK(y.shape() == Shape{1, 1, 2, 8});
  CHECK(values(y) == std::vector{1, 2, 0, 0, 3, 4, 0, 0, 5, 6, 0, 0, 0, 0, 0, 0});
}

TEST_CASE("windows: there and back") {
  Context context(1);
  for (const Cut& cut : cuts) {
    CAPTURE(cut.image);
    CAPTURE(cut.window);
    CAPTURE(cut.shift);
    Inference<float> pass(context);
    const auto x = pass.input(numbered(cut.image));
    CHECK(same_bits(from_windows(to_windows(x, cut.window, cut.shift), cut.image, cut.window, cut.shift).value(), x.value()));
  }
}

TEST_CASE("windows and patches: gradients, threads") {
  Context context(1);
  for (const Cut& cut : cuts) {
    CAPTURE(cut.image);
    const auto there = [&](auto in) { return to_windows(in[0], cut.window, cut.shift); };
    Inference<double> pass(context);
    const Shape windows = to_windows(pass.input(Tensor<double>(cut.image)), cut.window, cut.shift).shape();
    const auto back = [&](auto in) { return from_windows(in[0], cut.image, cut.window, cut.shift); };
    const auto merge = [](auto in) { return merge_patches(in[0]); };
    CHECK(check_gradient(context, list(random_tensor<double>(cut.image, 1)), [&](auto&, auto in) { return there(in); }) < 1e-8);
    CHECK(check_gradient(context, list(random_tensor<double>(windows, 2)), [&](auto&, auto in) { return back(in); }) < 1e-8);
    CHECK(check_gradient(context, list(random_tensor<double>(cut.image, 3)), [&](auto&, auto in) { return merge(in); }) < 1e-8);
    check_added_gradients(there, list(random_tensor<float>(cut.image, 4)));
    check_added_gradients(back, list(random_tensor<float>(windows, 5)));
    check_added_gradients(merge, list(random_tensor<float>(cut.image, 6)));
  }
  check_threads([](auto in) { return merge_patches(in[0]); }, list(random_tensor<float>({3, 33, 35, 20}, 7)));
}

TEST_CASE("shifted_window_mask: who may see whom") {
  const Tensor<float> mask = shifted_window_mask(4, 4, 2, 1);
  REQUIRE(mask.shape() == Shape{4, 4, 4});
  const auto sees = [&](Index tile, Index i, Index j) { return mask[(tile * 4 + i) * 4 + j] == 0; };
  for (Index i = 0; i < 4; ++i) {
    for (Index j = 0; j < 4; ++j) {
      CHECK(sees(0, i, j));
      CHECK(sees(1, i, j) == (i % 2 == j % 2));  // the right column came from the left edge
      CHECK(sees(2, i, j) == (i / 2 == j / 2));
      CHECK(sees(3, i, j) == (i == j));
    }
  }
  for (const float each : shifted_window_mask(6, 4, 2, 0)) CHECK(each == 0);
}

TEST_CASE("relative_position_bias: by hand, gradients") {
  Context context(1);
  Inference<float> pass(context);
  // Windows of 2: entry (di + 1) 3 + dj + 1; two heads side by side.
  const auto bias = relative_position_bias(pass.input(numbered({9, 2})), 2);
  REQUIRE(bias.shape() == Shape{2, 4, 4});
  CHECK(values(bias) == std::vector{9, 7, 3, 1, 11, 9, 5, 3, 15, 13, 9, 7, 17, 15, 11, 9,  //
                                    10, 8, 4, 2, 12, 10, 6, 4, 16, 14, 10, 8, 18, 16, 12, 10});
  for (const Index window : {1, 2, 3}) {
    const auto f = [&](auto in) { return relative_position_bias(in[0], window); };
    const Shape table{(2 * window - 1) * (2 * window - 1), 3};
    CHECK(check_gradient(context, list(random_tensor<double>(table, 1)), [&](auto&, auto in) { return f(in); }) < 1e-8);
    check_added_gradients(f, list(random_tensor<float>(table, 2)));
  }
}

TEST_CASE("windows: what does not fit") {
  Context context(1);
  Inference<float> pass(context);
  const auto x = pass.input(Tensor<float>({1, 4, 4, 2})), flat = pass.input(Tensor<float>({4, 4}));
  CHECK_THROWS_WITH_AS(to_windows(flat, 2), "to_windows: expected images [batch, height, width, channels] with elements, got [4, 4]",
                       std::invalid_argument);
  CHECK_THROWS_WITH_AS(to_windows(x, 2, 2), "to_windows: expected a window of at least 1 and a shift below it, got 2 and 2", std::invalid_argument);
  CHECK_THROWS_WITH_AS(to_windows(x, Index{1} << 32), "to_windows: expected a window of at most 1048576, got 4294967296", std::invalid_argument);
  CHECK_THROWS_WITH_AS(from_windows(x, {1, 4, 4, 2}, 2), "from_windows: expected windows [4, 4, 2], got [1, 4, 4, 2]", std::invalid_argument);
  CHECK_THROWS_WITH_AS(merge_patches(flat), "merge_patches: expected images [batch, height, width, channels] with elements, got [4, 4]",
                       std::invalid_argument);
  CHECK_THROWS_WITH_AS(shifted_window_mask(0, 4, 2, 1), "shifted_window_mask: expected images [batch, height, width, channels] with elements, got [1, 0, 4, 1]",
                       std::invalid_argument);
  CHECK_THROWS_WITH_AS(relative_position_bias(flat, 2),
                       "relative_position_bias: expected a table [(2 window - 1)^2, heads] for windows of 2, got [4, 4]", std::invalid_argument);
  CHECK_THROWS_WITH_AS(relative_position_bias(flat, Index{1} << 62),
                       "relative_position_bias: expected a table [(2 window - 1)^2, heads] for windows of 4611686018427387904, got [4, 4]",
                       std::invalid_argument);
}
