#include "tombola/autograd/pass.hpp"

#include <doctest/doctest.h>

#include <set>
#include <thread>

#include "support/tensors.hpp"
#include "tombola/autograd/parameter.hpp"
#include "tombola/ops/arithmetic.hpp"
#include "tombola/ops/sum.hpp"

using namespace tombola;
using namespace test_support;

namespace {

/// Shows how much a pass keeps.
template <class Base>
struct Open : Base {
  using Base::Base;
  std::size_t nodes() const { return length(this->last_node_); }
  std::size_t steps() const { return length(this->last_step_); }

 private:
  template <class Entry>
  static std::size_t length(const Entry* last) {
    std::size_t count = 0;
    for (; last != nullptr; last = last->previous) ++count;
    return count;
  }
};

/// y = x, which notes the beta that each backward step is given.
template <class T>
Var<T> watched(const Var<T>& x, std::vector<T>& betas) {
  Pass<T>& pass = x.pass();
  Var<T> y = pass.result(x.shape(), x.needs_gradient());
  std::copy_n(x.value().data(), x.shape().size(), y.node()->output());
  pass.backward_step(y, [betas = &betas, x = x.node(), y = y.node()](Pass<T>& pass) {
    const auto dx = pass.accumulate(*x);
    betas->push_back(dx.beta);
    for (Index i = 0; i < x->size(); ++i) dx.into[i] = y->gradient[i] + (dx.beta == T(0) ? T(0) : dx.into[i]);
  });
  return y;
}

template <class Value>
concept can_alias = requires(Pass<float>& pass, Value&& value) { pass.alias(std::forward<Value>(value), true); };
static_assert(can_alias<Tensor<float>&> && can_alias<View<const float>> && !can_alias<Tensor<float>> && !can_alias<const Tensor<float>>);

/// Where the pool would put the next block for a tensor of this shape.
const float* next_place(Context& context, const Shape& shape) {
  return Tensor<float>::uninitialized(shape, context.pool()).data();
}

}  // namespace

TEST_CASE("tape: the first gradient of a value writes, later ones add") {
  Context context(1);
  Tape<float> tape(context);
  const Tensor<float> x({2}, {1, 2});
  const Var<float> in = tape.variable(x);
  std::vector<float> betas;
  const Var<float> y = watched(in, betas) + watched(in, betas) + watched(in, betas);
  tape.backward(y, Tensor<float>({2}, {1, 10}));
  CHECK(betas == std::vector<float>{0, 1, 1});
  CHECK(same_bits(tape.gradient(in), Tensor<float>({2}, {3, 30})));
}

TEST_CASE("tape: steps run in the reverse order of execution, and only where a gradient arrives") {
  Context context(1);
  Open<Tape<float>> tape(context);
  const Tensor<float> x({1}, {3});
  const Var<float> in = tape.variable(x);
  std::vector<float> unused, used;
  const Var<float> aside = watched(in, unused);
  const Var<float> y = watched(in, used);
  CHECK(tape.steps() == 2);
  tape.backward(y);
  CHECK(unused.empty());
  CHECK(used.size() == 1);
  CHECK(tape.gradient(in)[0] == 1);
  CHECK(tape.gradient(aside)[0] == 0);
}

TEST_CASE("tape: values without a gradient record no step") {
  Context context(1);
  Open<Tape<float>> tape(context);
  const Tensor<float> x({3}, {1, 2, 3});
  const Var<float> y = tape.input(x) * tape.input(x) + 1;
  CHECK_FALSE(y.needs_gradient());
  CHECK(tape.steps() == 0);
  CHECK(tape.records());
}

TEST_CASE("tape: an input may be a tensor that the pass takes over") {
  Context context(1);
  Tape<float> tape(context);
  Tensor<float> x({2}, {1, 2});
  const float* place = x.data();
  const Var<float> in = tape.input(std::move(x));
  CHECK(in.value().data() == place);
  CHECK(x.size() == 0);
  CHECK_FALSE(in.needs_gradient());
}

TEST_CASE("tape: a variable may be a tensor that the tape takes over") {
  Context context(1);
  Tape<float> tape(context);
  const Var<float> in = tape.variable(Tensor<float>({2}, {3, 4}));
  const Tensor<float> other = Tensor<float>::filled({2}, 9.0f);  // in the place of the temporary, were it gone
  CHECK(in.needs_gradient());
  tape.backward(in * in, Tensor<float>({2}, {1, 10}));
  CHECK(same_bits(tape.gradient(in), Tensor<float>({2}, {6, 80})));
  CHECK(same_bits(Tensor<float>::copy_of(in.value()), Tensor<float>({2}, {3, 4})));
  CHECK(other[0] == 9);
}

TEST_CASE("tape: backward gives back values that no Var refers to, and keeps the others") {
  Context context(1);
  Tape<float> tape(context);
  const Shape shape{1000};
  const Tensor<float> x = random_tensor<float>(shape, 1);
  const Var<float> in = tape.variable(x);
  const float* dropped;
  Var<float> y;
  {
    const Var<float> inner = in * in;
    dropped = inner.value().data();
    y = inner * inner;
  }
  const Var<float> kept = y * y;
  const float* kept_at = kept.value().data();
  const Tensor<float> before = Tensor<float>::copy_of(kept.value());
  y = {};  // no Var refers to it, but kept's step still reads it: a tape drops nothing before backward
  CHECK(next_place(context, shape) != dropped);
  tape.backward(kept, Tensor<float>::filled(shape, 1.0f));
  std::set<const float*> free;
  std::vector<Tensor<float>> taken;
  for (int i = 0; i < 8; ++i) {
    taken.push_back(Tensor<float>::uninitialized(shape, context.pool()));
    taken.back()[0] = -1;
    free.insert(taken.back().data());
  }
  CHECK(free.contains(dropped));
  CHECK_FALSE(free.contains(kept_at));
  CHECK(kept.value().data() == kept_at);
  CHECK(same_bits<float>(kept.value(), before.view()));
  const Tensor<float> gradient = tape.gradient(in);
  for (Index i = 0; i < x.size(); ++i) {  // d x^8
    REQUIRE(static_cast<double>(gradient[i]) ==
            doctest::Approx(8 * std::pow(static_cast<double>(x[i]), 7)).epsilon(1e-5));
  }
}

TEST_CASE("tape: backward through a chain gives back every value on the way") {
  Context context(1);
  Tape<float> tape(context);
  const Shape shape{1000};
  const Tensor<float> x = random_tensor<float>(shape, 2);
  Var<float> y = tape.variable(x);
  std::set<const float*> values;
  for (int i = 0; i < 50; ++i) {
    y = y * 0.9f;
    values.insert(y.value().data());
  }
  tape.backward(y, Tensor<float>::filled(shape, 1.0f));
  std::vector<Tensor<float>> taken;
  Index known = 0;
  for (int i = 0; i < 52; ++i) {
    taken.push_back(Tensor<float>::uninitialized(shape, context.pool()));
    CHECK(taken.back().data() != y.value().data());
    known += values.contains(taken.back().data());
  }
  // All but the last value, which y refers to; the x that began it is not the tape's. One of them may hold x's gradient now.
  CHECK(known >= 48);
}

TEST_CASE("tape: the gradient of a value that the loss does not depend on is zero") {
  Context context(1);
  Tape<float> tape(context);
  const Tensor<float> x({2}, {1, 2});
  const Var<float> a = tape.variable(x), b = tape.variable(x);
  const Var<float> y = sum(a);
  tape.backward(y);
  CHECK(same_bits(tape.gradient(b), Tensor<float>({2})));
  CHECK(same_bits(tape.gradient(a), Tensor<float>({2}, {1, 1})));
  CHECK(same_bits(tape.gradient(y), Tensor<float>(Shape{})));  // given back: only a `variable` keeps its gradient
  const Tape<float> other(context);
  CHECK_THROWS_WITH_AS(other.gradient(a), "gradient: expected a value of this tape, got one of another", std::invalid_argument);
  CHECK_THROWS_WITH_AS(tape.gradient(Var<float>()), "gradient: expected a value of this tape, got an empty Var", std::invalid_argument);
}

TEST_CASE("ops refuse an empty Var") {
  Context context(1);
  Tape<float> tape(context);
  const Var<float> x = tape.variable(Tensor<float>({2}, {1, 2})), empty;
  CHECK_THROWS_WITH_AS(x + empty, "add: expected values of one pass, got an empty Var", std::invalid_argument);
  CHECK_THROWS_WITH_AS(empty * x, "multiply: expected values of one pass, got an empty Var", std::invalid_argument);
  CHECK_THROWS_WITH_AS(-empty, "expected a value, got an empty Var", std::invalid_argument);
}

TEST_CASE("tape: the loss may itself be a variable") {
  Context context(1);
  Tape<float> tape(context);
  const Tensor<float> x({2}, {1, 2});
  const Var<float> in = tape.variable(x);
  tape.backward(in, Tensor<float>({2}, {3, 4}));
  CHECK(same_bits(tape.gradient(in), Tensor<float>({2}, {3, 4})));
}

TEST_CASE("tape: backward refuses what it cannot do") {
  Context context(1);
  Tape<float> tape(context), other(context);
  const Tensor<float> x({2}, {1, 2});
  const Var<float> in = tape.variable(x), constant = tape.input(x);
  const Var<float> y = in * in;
  CHECK_THROWS_WITH_AS(tape.backward(y), "backward: expected a loss of one value, got [2]", std::invalid_argument);
  CHECK_THROWS_WITH_AS(tape.backward(y, Tensor<float>({3})), "backward: expected dy [2], got [3]",
                       std::invalid_argument);
  CHECK_THROWS_WITH_AS(tape.backward(constant, Tensor<float>({2})),
                       "backward: expected a value that depends on a parameter", std::invalid_argument);
  Tape<float> relaxed(context, {.gates = Reading::relaxed});
  CHECK_THROWS_WITH_AS(relaxed.backward(relaxed.input(x), Tensor<float>({2})),
                       "backward: expected a value that depends on a parameter; this pass does not sample gates, so that they get no gradient",
                       std::invalid_argument);
  CHECK_THROWS_WITH_AS(other.backward(y, Tensor<float>({2})), "backward: expected a value of this tape",
                       std::invalid_argument);
  CHECK_THROWS_WITH_AS(tape.backward(Var<float>()), "backward: expected a value of this tape, got none", std::invalid_argument);
  CHECK_THROWS_WITH_AS(tape.backward(Var<float>(), Tensor<float>({2})), "backward: expected a value of this tape", std::invalid_argument);
  tape.backward(y, Tensor<float>::filled({2}, 1.0f));  // the refusals left the tape as it was
  CHECK(same_bits(tape.gradient(in), Tensor<float>({2}, {2, 4})));
  CHECK_THROWS_WITH_AS(tape.backward(y, Tensor<float>({2})), "backward: this tape has run backwards already",
                       std::logic_error);
}

TEST_CASE("var: item is the only value") {
  Context context(1);
  Inference<float> pass(context);
  const Tensor<float> one({1, 1}, {5}), two({2});
  CHECK(pass.input(one).item() == 5);
  CHECK_THROWS_WITH_AS(pass.input(two).item(), "item: expected one value, got [2]", std::invalid_argument);
}

TEST_CASE("var: copies, moves and assignments count the handles") {
  Context context(1);
  Inference<float> pass(context);
  const Tensor<float> x({2}, {1, 2});
  Var<float> a = pass.input(x) * 2;
  CHECK(a);
  CHECK_FALSE(Var<float>());
  CHECK(a.node()->handles == 1);
  Var<float> b = a;
  CHECK(a.node()->handles == 2);
  const Var<float> c = std::move(a);
  CHECK_FALSE(a);
  CHECK(c.node()->handles == 2);
  b = c;
  CHECK(c.node()->handles == 2);
  const Var<float>& same = b;
  b = same;
  CHECK(c.node()->handles == 2);
  b = {};
  CHECK(c.node()->handles == 1);
  CHECK(c.value()[1] == 4);
}

TEST_CASE("inference: each value is dropped with its last handle, and no steps are kept") {
  Context context(1);
  Open<Inference<float>> pass(context);
  const Shape shape{1000};
  const Tensor<float> x = random_tensor<float>(shape, 3);
  CHECK_FALSE(pass.records());
  std::set<const float*> places;
  Var<float> y = pass.input(x);
  for (int i = 0; i < 100; ++i) {
    y = y * 1.01f;
    places.insert(y.value().data());
  }
  CHECK(places.size() <= 2);  // the value that is read and the one that is written
  CHECK(pass.steps() == 0);
  CHECK_FALSE(y.needs_gradient());
  const float* place = y.value().data();
  y = {};
  CHECK(next_place(context, shape) == place);
}

TEST_CASE("inference: the same bits as a tape") {
  Context context(1);
  const Tensor<float> x = random_tensor<float>({17, 3}, 4);
  Tape<float> tape(context);
  Inference<float> pass(context);
  const auto f = [](const Var<float>& v) { return sum(v * v + v * 0.3f); };
  CHECK(f(tape.variable(x)).item() == f(pass.input(x)).item());
}

TEST_CASE("pass: what is shared under a key is found while it is there") {
  Context context(1);
  const Tensor<float> x({2}, {1, 2});
  const int key = 0, other_key = 0;
  SUBCASE("on a tape, always") {
    Tape<float> tape(context);
    tape.share(&key, tape.input(x) * 2);
    CHECK(tape.shared(&key).value()[1] == 4);
    CHECK_FALSE(tape.shared(&other_key));
  }
  SUBCASE("on a tape that has run backwards, no longer") {
    Tape<float> tape(context);
    const Var<float> loss = sum(tape.variable(x) * 2);
    {
      const Var<float> y = tape.variable(x) * 3;
      tape.share(&key, y);
      tape.backward(loss + sum(y));
    }
    CHECK(tape.shared(&key));  // a Var referred to it
    Tape<float> another(context);
    {
      const Var<float> y = another.variable(x) * 3;
      another.share(&key, y);
      const Var<float> total = sum(y);
      (void)total;
    }
    const Var<float> known = sum(another.shared(&key));
    another.backward(known);
    CHECK_FALSE(another.shared(&key));
  }
  SUBCASE("in inference, until its last handle is gone") {
    Inference<float> pass(context);
    Var<float> y = pass.input(x) * 2;
    pass.share(&key, y);
    CHECK(pass.shared(&key).node() == y.node());
    y = {};
    CHECK_FALSE(pass.shared(&key));
    y = pass.input(x) * 3;
    pass.share(&key, y);
    CHECK(pass.shared(&key).value()[1] == 6);
  }
}

TEST_CASE("pass: the defaults of a tape and of inference") {
  Context context(3);
  const Tape<float> tape(context);
  const Inference<float> pass(context);
  CHECK(tape.options().gates == Reading::sampled);
  CHECK(pass.options().gates == Reading::binary);
  CHECK(Tape<float>(context, {.seed = 1}).reading() == Reading::sampled);  // other options leave the reading alone
  CHECK(Tape<float>(context, {.gates = Reading::relaxed}).reading() == Reading::relaxed);
  CHECK(tape.threads().count() == 3);
  CHECK(&tape.context() == &context);
}

TEST_CASE("pass: a pass gives all its blocks back to the context") {
  Context context(1);
  const Shape shape{1000};
  const Tensor<float> x = random_tensor<float>(shape, 5);
  std::set<const float*> first, second;
  for (auto* places : {&first, &second}) {
    Tape<float> tape(context);
    const Var<float> in = tape.variable(x);
    std::vector<Var<float>> all{in};
    for (int i = 0; i < 10; ++i) {
      all.push_back(all.back() * 2);
      places->insert(all.back().value().data());
    }
    tape.backward(all.back(), Tensor<float>::filled(shape, 1.0f));
  }
  // The second tape asks for the same sizes, so it finds all in the pool. It has room for at most two gradients more.
  const Index known = std::count_if(second.begin(), second.end(), [&](const float* p) { return first.contains(p); });
  CHECK(known >= 8);
}

TEST_CASE("tape: two tapes in two user threads, each with its own context") {
  const Tensor<float> x = random_tensor<float>({49157}, 6);
  const auto run = [&x](int threads) {
    Context context(threads);
    Tensor<float> gradient;
    for (int repeat = 0; repeat < 5; ++repeat) {
      Tape<float> tape(context);
      const Var<float> in = tape.variable(x);
      tape.backward(sum(in * in * in));
      gradient = tape.gradient(in);
    }
    return gradient;
  };
  const Tensor<float> expected = run(1);
  Tensor<float> a, b;
  std::thread first([&] { a = run(2); }), second([&] { b = run(2); });
  first.join();
  second.join();
  CHECK(same_bits(a, expected));
  CHECK(same_bits(b, expected));
}

namespace {

/// y = 2 x, computed again in backward; counts how often it was computed.
Var<float> restored_double(const Var<float>& x, int& times) {
  Pass<float>& pass = x.pass();
  const Var<float> y = pass.result(x.shape(), x.needs_gradient());
  const auto compute = [times = &times, x = x.node(), y = y.node()](Pass<float>&) {
    ++*times;
    for (Index i = 0; i < x->size(); ++i) y->output()[i] = 2 * x->value[i];
  };
  compute(pass);
  pass.restore_step(y, {x}, compute);
  pass.backward_step(y, [x = x.node(), y = y.node()](Pass<float>& pass) {
    const auto dx = pass.accumulate(*x);
    for (Index i = 0; i < x->size(); ++i) dx.into[i] = 2 * y->gradient[i] + (dx.beta == 0.0f ? 0.0f : dx.into[i]);
  });
  return y;
}

}  // namespace

TEST_CASE("tape: values that can be computed again are dropped with their last handle, and are back for their readers") {
  const Tensor<float> x({2}, {1, 3});
  for (const bool held : {false, true}) {
    CAPTURE(held);
    Context context(1);
    Tape<float> tape(context);
    int times = 0;
    const Var<float> v = tape.variable(x);
    Var<float> y = restored_double(v, times), z = y * y, all = sum(z + y);
    Node<float>* node = y.node();
    if (!held) {
      y = {};
      CHECK(node->value.data() == nullptr);
      CHECK(node->shape() == Shape{2});
    }
    tape.backward(all);
    CHECK(times == (held ? 1 : 2));
    CHECK(same_bits(tape.gradient(v), Tensor<float>({2}, {8 * 1 + 2, 8 * 3 + 2})));  // of 4 x^2 + 2 x
    CHECK((node->storage.size() == 0) == !held);  // given back again
  }
}

TEST_CASE("tape: what borrows a value that can be computed again keeps it") {
  Context context(1);
  const Tensor<float> x({2}, {1, 3});
  Tape<float> tape(context);
  int times = 0;
  const Var<float> v = tape.variable(x);
  Var<float> y = restored_double(v, times);
  Var<float> alias = tape.alias(y.value(), true, y.node());
  const Node<float>* node = y.node();
  y = {};
  CHECK(node->value.data() != nullptr);
  alias = {};
  CHECK(times == 1);
}

TEST_CASE("inference: what can be computed again is dropped like everything else") {
  Context context(1);
  Inference<float> pass(context);
  const Tensor<float> x({2}, {1, 3});
  int times = 0;
  Var<float> y = restored_double(pass.input(x.view()), times);
  CHECK(y.node()->restore == nullptr);
  y = {};
  CHECK(times == 1);
}
