#include "tombola/ops/attention.hpp"

#include "support/op.hpp"
#include "tombola/ops/reshape.hpp"
#include "tombola/ops/sum.hpp"
#include "tombola/ops/tokens.hpp"

using namespace tombola;
using namespace test_support;

namespace {

template <class T>
std::vector<Tensor<T>> inputs(Index sequences, Index queries, Index keys, Index columns) {
  return list(random_tensor<T>({sequences, queries, columns}, 1, -2, 2), random_tensor<T>({sequences, keys, columns}, 2, -2, 2),
              random_tensor<T>({sequences, keys, columns}, 3));
}

auto with(const AttentionOptions& options) {
  return [=](auto in) { return in.size() == 4 ? attention(in[0], in[1], in[2], options, in[3]) : attention(in[0], in[1], in[2], options); };
}

}  // namespace

TEST_CASE("attention: by hand") {
  Context context(1);
  Inference<double> pass(context);
  // Two keys, logits 0 and log 3 after scaling: probabilities 1/4 and 3/4.
  const Var<double> q = pass.input(Tensor<double>({1, 1, 2}, {2, 0}));
  const Var<double> k = pass.input(Tensor<double>({1, 2, 2}, {0, 5, std::log(3.0), 7})), v = pass.input(Tensor<double>({1, 2, 2}, {4, 8, 0, 16}));
  const Var<double> y = attention(q, k, v, {.scale = 0.5});
  CHECK(y.value()[0] == doctest::Approx(1).epsilon(1e-14));
  CHECK(y.value()[1] == doctest::Approx(14).epsilon(1e-14));
}

TEST_CASE("attention: gradients against differences") {
  Context context(1);
  for (const bool causal : {false, true}) {
    const AttentionOptions options{.heads = 2, .causal = causal};
    const auto f = [&](auto&, auto in) { return with(options)(in); };
    CHECK(check_gradient(context, inputs<double>(2, 5, 5, 6), f) < 1e-8);
    CHECK(check_gradient(context, inputs<double>(1, 3, 7, 2), f) < 1e-8);
    for (const Shape& bias : {Shape{2, 5, 5}, Shape{3, 2, 5, 5}}) {
      auto all = inputs<double>(6, 5, 5, 4);
      all.push_back(random_tensor<double>(bias, 4));
      CHECK(check_gradient(context, std::move(all), f) < 1e-8);
    }
  }
  // One tensor in all three places, and beside itself.
  const auto self = [](auto&, auto in) { return attention(in[0], in[0], in[0], {.heads = 3}) + in[0]; };
  CHECK(check_gradient(context, list(random_tensor<double>({2, 4, 9}, 5)), self) < 1e-8);
  // The bias is one of them too: all heads of the only sequence add to it, or each to a part.
  const auto queries = [](auto&, auto in) { return attention(in[0], in[1], in[2], {.heads = in[0].shape()[0]}, in[0]); };
  for (const Index heads : {1, 6}) {
    CHECK(check_gradient(context, list(random_tensor<double>({heads, 5, 6}, 8), random_tensor<double>({heads, 6, 6}, 9), random_tensor<double>({heads, 6, 6}, 10)),
                         queries) < 1e-8);
  }
  const auto keys = [](auto&, auto in) { return attention(in[0], in[1], in[1], {}, in[1]) + attention(in[1], in[1], in[0], {}, in[1]); };
  CHECK(check_gradient(context, list(random_tensor<double>({1, 4, 4}, 11), random_tensor<double>({1, 4, 4}, 12)), keys) < 1e-8);
  const auto packed = [](auto&, auto in) { return self_attention(in[0], {}, in[0]); };
  CHECK(check_gradient(context, list(random_tensor<double>({1, 6, 6}, 13)), packed) < 1e-8);
  const auto two = [](auto&, auto in) { return attention(in[0], in[1], in[1]); };
  CHECK(check_gradient(context, list(random_tensor<double>({2, 4, 3}, 6), random_tensor<double>({2, 5, 3}, 7)), two) < 1e-8);
}

TEST_CASE("self_attention: the same as attention, gradients included") {
  const Index sequences = 3, length = 11, columns = 8;
  const auto qkv = random_tensor<double>({sequences, length, 3 * columns}, 8, -2, 2);
  std::vector<Tensor<double>> apart;
  for (Index part = 0; part < 3; ++part) {
    apart.emplace_back(Shape{sequences, length, columns});
    for (Index i = 0; i < apart.back().size(); ++i) apart.back()[i] = qkv[(i / columns * 3 + part) * columns + i % columns];
  }
  const AttentionOptions options{.heads = 2, .causal = true};
  const auto packed = run_op([&](auto in) { return self_attention(in[0], options); }, list(Tensor<double>::copy_of(qkv)));
  const auto plain = run_op(with(options), apart);
  CHECK(same_bits(packed.y, plain.y));
  for (Index i = 0; i < qkv.size(); ++i) {
    const Index row = i / (3 * columns), part = i / columns % 3;
    REQUIRE(packed.gradients[0][i] == plain.gradients[static_cast<std::size_t>(part)][row * columns + i % columns]);
  }
  Context context(1);
  const auto twice = [&](auto&, auto in) { return self_attention(in[0], options) + self_attention(in[0]); };
  CHECK(check_gradient(context, list(random_tensor<double>({2, 5, 12}, 9)), twice) < 1e-8);
}

TEST_CASE("self_attention: a bias alone learns") {
  const Tensor<double> qkv = random_tensor<double>({2, 4, 12}, 7), bias = random_tensor<double>({2, 4, 4}, 8);
  const auto f = [](auto in) { return self_attention(in[0], AttentionOptions{.heads = 2}, in[1]); };
  const auto inputs = list(Tensor<double>::copy_of(qkv), Tensor<double>::copy_of(bias));
  CHECK(same_bits(run_op(f, inputs, 1, 2).gradients[1], run_op(f, inputs).gradients[1]));
  Context context(1);
  Tape<double> tape(context);
  const Var<double> x = tape.input(qkv), learned = tape.variable(bias);
  tape.backward(self_attention(x, {.heads = 2}, learned), random_tensor<double>({2, 4, 4}, 9));
  CHECK(same_bits(tape.gradient(x), Tensor<double>(qkv.shape())));  // nobody asked for it
}

TEST_CASE("first_token_attention: the first row of self_attention, gradients included") {
  const Index sequences = 5, length = 11, columns = 6;
  const AttentionOptions options{.heads = 3, .scale = 0.7};
  const auto alone = [&](auto in) { return first_token_attention(in[0], options); };
  const auto of_all = [&](auto in) { return reshape(first_token(self_attention(in[0], options)), {sequences, 1, columns}); };
  const auto qkv = random_tensor<double>({sequences, length, 3 * columns}, 8, -2, 2);
  const auto a = run_op(alone, list(Tensor<double>::copy_of(qkv))), b = run_op(of_all, list(Tensor<double>::copy_of(qkv)));
  CHECK(a.y.shape() == Shape{sequences, 1, columns});
  CHECK(largest_error(a.y, b.y) < 1e-14);
  CHECK(largest_error(a.gradients[0], b.gradients[0]) < 1e-14);
  for (Index row = 0; row < sequences * length; ++row) {
    for (Index c = 0; c < columns && row % length > 0; ++c) REQUIRE(a.gradients[0][row * 3 * columns + c] == 0);  // the query of a token that does not ask
  }
  Context context(1);
  for (const Shape& shape : {Shape{2, 5, 18}, Shape{3, 1, 9}}) {
    CHECK(check_gradient(context, list(random_tensor<double>(shape, 9)), [&](auto&, auto in) { return alone(in); }) < 1e-8);
  }
  const auto twice = [&](auto&, auto in) { return alone(in) + first_token_attention(in[0]) + reshape(first_token(self_attention(in[0])), {2, 1, 6}); };
  CHECK(check_gradient(context, list(random_tensor<double>({2, 5, 18}, 9)), twice) < 1e-8);
  const auto many = list(random_tensor<float>({70, 33, 45}, 10));
  check_inputs_apart(alone, many);
  check_added_gradients(alone, many);
  CHECK(float_error(alone, many) < 1e-5);
  check_threads(alone, many);
  Tape<float> tape(context);
  CHECK(first_token_attention(tape.input(Tensor<float>({0, 3, 12}))).shape() == Shape{0, 1, 4});
  CHECK_THROWS_WITH_AS(first_token_attention(tape.input(Tensor<float>({2, 3, 4}))),
                       "first_token_attention: expected qkv [sequences, length, 3 columns] with tokens, got [2, 3, 4]", std::invalid_argument);
  CHECK_THROWS_WITH_AS(first_token_attention(tape.input(Tensor<float>({2, 0, 6}))),
                       "first_token_attention: expected qkv [sequences, length, 3 columns] with tokens, got [2, 0, 6]", std::invalid_argument);
  CHECK_THROWS_WITH_AS(first_token_attention(tape.input(Tensor<float>({2, 3, 6})), {.causal = true}),
                       "first_token_attention: expected attention to all tokens: a first one sees itself alone where it is causal", std::invalid_argument);
}

TEST_CASE("attention: masks") {
  constexpr double inf = std::numeric_limits<double>::infinity();
  const Tensor<double> mask({2, 2, 3}, {0, -inf, 0.5, -inf, -inf, -inf, -inf, 0, 0, 0, 0, -inf});
  const auto f = [&](auto in) { return attention(in[0], in[1], in[2], {}, {}, mask.view()); };
  const auto all = inputs<double>(4, 2, 3, 5);
  const OpResult<double> result = run_op(f, all);
  for (Index n = 0; n < 4; ++n) {
    for (Index c = 0; c < 5; ++c) {
      if (n % 2 == 1) continue;
      CHECK(result.y[(n * 2 + 1) * 5 + c] == 0);             // sees nothing
      CHECK(result.gradients[0][(n * 2 + 1) * 5 + c] == 0);
      CHECK(result.gradients[1][(n * 3 + 1) * 5 + c] == 0);  // is seen by nobody
      CHECK(result.gradients[2][(n * 3 + 1) * 5 + c] == 0);
    }
  }
  Context context(1);
  CHECK(check_gradient(context, inputs<double>(4, 2, 3, 5), [&](auto&, auto in) { return f(in); }) < 1e-8);
}

TEST_CASE("attention: inputs apart, gradients that add up, threads, float against double") {
  const auto f = with({.heads = 2});
  auto all = inputs<float>(4, 9, 13, 6);
  all.push_back(random_tensor<float>({2, 2, 9, 13}, 4));
  check_inputs_apart(f, all);
  check_added_gradients(f, all);
  CHECK(float_error(f, all) < 1e-5);
  check_threads(f, all);
  const auto biased_by_itself = [](auto in) { return attention(in[0], in[1], in[2], {.heads = 16}, in[0]); };
  check_threads(biased_by_itself, list(random_tensor<float>({16, 40, 16}, 5), random_tensor<float>({16, 16, 16}, 6), random_tensor<float>({16, 16, 16}, 7)));
  check_threads(with({.heads = 1, .causal = true}), inputs<float>(1, 300, 300, 8));  // one head: its queries are shared
  auto shared = inputs<float>(70, 6, 6, 4);  // a bias whose gradient is a sum over chunks
  shared.push_back(random_tensor<float>({1, 6, 6}, 4));
  check_threads(with({}), shared);
}

TEST_CASE("attention: without sequences or queries there is nothing to see, and no gradient") {
  Context context(2);
  for (const auto& [queries, keys] : {std::pair{Shape{0, 3, 4}, Shape{0, 5, 4}}, {Shape{2, 0, 4}, Shape{2, 5, 4}}}) {
    Tape<float> tape(context);
    const auto q = tape.variable(Tensor<float>(queries)), k = tape.variable(random_tensor<float>(keys, 1)), v = tape.variable(random_tensor<float>(keys, 2));
    const auto y = attention(q, k, v, {.heads = 2});
    CHECK(y.shape() == queries);
    tape.backward(sum(y) + sum(v));
    CHECK(same_bits(tape.gradient(k), Tensor<float>(keys)));
    CHECK(same_bits(tape.gradient(v), Tensor<float>::filled(keys, 1)));
  }
  Tape<float> tape(context);
  CHECK(self_attention(tape.input(Tensor<float>({0, 3, 12}))).shape() == Shape{0, 3, 4});
}

TEST_CASE("attention: what does not fit") {
  Context context(1);
  Tape<float> tape(context), other(context);
  const auto zeros = [&](const Shape& shape) { return tape.input(Tensor<float>(shape)); };
  const auto x = zeros({2, 3, 4});
  CHECK_THROWS_WITH_AS(attention(x, zeros({2, 5, 4}), zeros({2, 6, 4})),
                       "attention: expected q [sequences, queries, columns] and k, v [sequences, keys, columns], got [2, 3, 4], [2, 5, 4] and [2, 6, 4]",
                       std::invalid_argument);
  CHECK_THROWS_WITH_AS(attention(x, x, x, {.heads = 3}), "attention: expected columns that 3 heads divide, got 4", std::invalid_argument);
  CHECK_THROWS_WITH_AS(attention(x, x, x, {.heads = 0}), "attention: expected columns that 0 heads divide, got 4", std::invalid_argument);
  CHECK_THROWS_WITH_AS(attention(x, zeros({2, 0, 4}), zeros({2, 0, 4})), "attention: expected at least one key", std::invalid_argument);
  CHECK_THROWS_WITH_AS(attention(x, x, x, {.scale = 0}), "attention: expected a finite scale above 0 in the type of the values, got 0", std::invalid_argument);
  for (const double scale : {1e-46, 1e39, -1.0, std::numeric_limits<double>::infinity(), std::nan("")}) {  // the first two are 0 and infinite as floats
    CHECK_THROWS_WITH_AS(attention(x, x, x, {.scale = scale}),
                         concat("attention: expected a finite scale above 0 in the type of the values, got ", scale).c_str(), std::invalid_argument);
  }
  CHECK_NOTHROW(attention(x, x, x, {.scale = 1e-44}));
  CHECK_THROWS_WITH_AS(attention(x, x, x, {}, zeros({1, 3, 2})),
                       "attention: expected a bias [1, 3, 3], or several that divide 2 sequences, got [1, 3, 2]", std::invalid_argument);
  CHECK_THROWS_WITH_AS(attention(x, x, x, {}, zeros({4, 1, 3, 3})),
                       "attention: expected a bias [1, 3, 3], or several that divide 2 sequences, got [4, 1, 3, 3]", std::invalid_argument);
  const Tensor<float> mask({3, 3});
  CHECK_THROWS_WITH_AS(attention(x, x, x, {}, {}, mask.view()),
                       "attention: expected a mask [sequences, 3, 3] whose sequences divide 2, got [3, 3]", std::invalid_argument);
  CHECK_THROWS_WITH_AS(self_attention(x), "self_attention: expected qkv [sequences, length, 3 columns], got [2, 3, 4]", std::invalid_argument);
  const auto foreign = other.input(Tensor<float>({2, 3, 4}));
  CHECK_THROWS_WITH_AS(attention(x, x, foreign), "attention: expected values of one pass, got values of two", std::invalid_argument);
  CHECK_THROWS_WITH_AS(attention(x, x, x, {}, foreign), "attention: expected values of one pass, got values of two", std::invalid_argument);
}
