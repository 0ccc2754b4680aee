#include "tombola/ops/tokens.hpp"

#include "support/op.hpp"

using namespace tombola;
using namespace test_support;

namespace {

constexpr auto prepend = [](auto in) { return prepend_token(in[0], in[1]); };
constexpr auto first = [](auto in) { return first_token(in[0]); };
const std::vector<std::int32_t> words{3, 0, 3, 3, 1, 0};
const auto look_up = [](auto in) { return embedding(in[0], View<const std::int32_t>(words.data(), Shape{2, 3})); };

template <class Ids>
concept looks_up = requires(const Var<float>& table, Ids&& ids) { embedding(table, std::forward<Ids>(ids)); };
using Tokens = Tensor<std::int32_t>;
static_assert(looks_up<Tokens&> && looks_up<const Tokens&> && looks_up<View<const std::int32_t>>);
static_assert(!looks_up<Tokens> && !looks_up<const Tokens>);  // they would be gone before backward

template <class T>
std::vector<Tensor<T>> tokens(const Shape& shape) {
  return list(random_tensor<T>(shape, 1), random_tensor<T>({shape.last()}, 2));
}

}  // namespace

TEST_CASE("tokens: by hand") {
  Context context(1);
  Inference<float> pass(context);
  const auto x = pass.input(Tensor<float>({2, 2, 1}, {1, 2, 3, 4})), token = pass.input(Tensor<float>({1}, {9}));
  const auto y = prepend_token(x, token);
  CHECK(same_bits(Tensor<float>::copy_of(y.value()), Tensor<float>({2, 3, 1}, {9, 1, 2, 9, 3, 4})));
  CHECK(same_bits(Tensor<float>::copy_of(first_token(x).value()), Tensor<float>({2, 1}, {1, 3})));
  const auto rows = look_up(std::vector{pass.input(Tensor<float>({4, 2}, {0, 1, 10, 11, 20, 21, 30, 31}))});
  CHECK(same_bits(Tensor<float>::copy_of(rows.value()), Tensor<float>({2, 3, 2}, {30, 31, 0, 1, 30, 31, 30, 31, 10, 11, 0, 1})));
}

TEST_CASE("tokens: gradients, inputs apart, threads") {
  Context context(1);
  Inference<float> empty(context);
  CHECK(first_token(empty.input(Tensor<float>({2, 3, 0}))).shape() == Shape{2, 0});
  for (const Shape& shape : {Shape{3, 4, 5}, Shape{1, 1, 1}, Shape{2, 0, 3}}) {
    CAPTURE(shape);
    CHECK(check_gradient(context, tokens<double>(shape), [](auto&, auto in) { return prepend(in); }) < 1e-8);
    check_inputs_apart(prepend, tokens<float>(shape));
    check_added_gradients(prepend, tokens<float>(shape));
    if (shape[1] == 0) continue;
    CHECK(check_gradient(context, list(random_tensor<double>(shape, 3)), [](auto&, auto in) { return first(in); }) < 1e-8);
    check_added_gradients(first, list(random_tensor<float>(shape, 3)));
  }
  for (const Index columns : {1, 7, 70}) {
    CHECK(check_gradient(context, list(random_tensor<double>({4, columns}, 4)), [](auto&, auto in) { return look_up(in); }) < 1e-8);
    check_added_gradients(look_up, list(random_tensor<float>({4, columns}, 4)));
    check_threads(look_up, list(random_tensor<float>({4, columns}, 4)));
  }
  check_threads(prepend, tokens<float>({40, 9, 33}));
}

TEST_CASE("tokens: what does not fit") {
  Context context(1);
  Inference<float> pass(context), other(context);
  const auto x = pass.input(Tensor<float>({2, 3, 4}));
  CHECK_THROWS_WITH_AS(prepend_token(x, pass.input(Tensor<float>({3}))),
                       "prepend_token: expected x [sequences, length, columns] and a token of as many columns, got [2, 3, 4] and [3]",
                       std::invalid_argument);
  CHECK_THROWS_WITH_AS(prepend_token(x, other.input(Tensor<float>({4}))), "prepend_token: expected values of one pass, got values of two",
                       std::invalid_argument);
  CHECK_THROWS_WITH_AS(first_token(pass.input(Tensor<float>({2, 0, 4}))),
                       "first_token: expected x [sequences, length, columns] with tokens, got [2, 0, 4]", std::invalid_argument);
  CHECK_THROWS_WITH_AS(look_up(std::vector{x}), "embedding: expected a table [entries, columns], got [2, 3, 4]", std::invalid_argument);
  CHECK_THROWS_WITH_AS(look_up(std::vector{pass.input(Tensor<float>({3, 2}))}), "embedding: expected ids in [0, 3), got 3 at place 0",
                       std::invalid_argument);
}
