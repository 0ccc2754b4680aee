#include "tombola/nn/weight_sources.hpp"

#include <doctest/doctest.h>

#include "support/gates.hpp"
#include "support/tensors.hpp"

using namespace tombola;
using namespace test_support;

namespace {

/// The weights that the library's generator draws, without a layer.
Tensor<float> drawn(std::uint64_t seed, std::uint32_t id, WeightInit kind, float scale, const Shape& shape) {
  Tensor<float> weights(shape);
  draw(FrozenWeights{seed, id, kind, scale}, 0, weights.view());
  return weights;
}

constexpr WeightInit inits[] = {WeightInit::uniform, WeightInit::signed_constant, WeightInit::kaiming_normal,
                                WeightInit::glorot_uniform};

}  // namespace

TEST_CASE("init: weight tensors are numbered in the order in which they are drawn") {
  for (const WeightInit kind : inits) {
    nn::Init init{.seed = 42, .weights = kind};
    CHECK(init.draw({10, 20}, {20, 10}) == FrozenWeights{42, 0, kind, default_scale(kind, 20, 10)});
    CHECK(init.draw({30, 10}, {10, 30}) == FrozenWeights{42, 1, kind, default_scale(kind, 10, 30)});
    CHECK(init.next == 2);
  }
  nn::Init scaled{.seed = 1, .weights = WeightInit::uniform, .scale = 0.5f};
  CHECK(scaled.draw({10, 20}, {20, 10}).scale == 0.5f);
  CHECK(scaled.draw({10, 20}, {20, 10, 0.25}).scale == 0.125f);
  nn::Init few{.left = 210};
  few.draw({10, 20}, {20, 10});
  CHECK_THROWS_WITH_AS(few.draw({11}, {1, 11}), "init: expected a model whose next weight has at most 10 elements, got [11]", std::invalid_argument);
  CHECK(few.next == 1);
}

TEST_CASE("frozen tensor: what the seed draws, in double the same numbers widened") {
  for (const WeightInit kind : inits) {
    const FrozenWeights origin{7, 3, kind, 0.25f};
    const nn::FrozenTensor<float> narrow(origin, "w", {7, 9});
    const nn::FrozenTensor<double> wide(origin, "w", {7, 9});
    CHECK(same_bits<float>(narrow.value(), drawn(7, 3, kind, 0.25f, {7, 9})));
    for (Index i = 0; i < 63; ++i) CHECK(wide.value()[i] == static_cast<double>(narrow.value()[i]));
    CHECK(narrow.name() == "w");
    CHECK(narrow.shape() == Shape{7, 9});
    CHECK(narrow.origin() == origin);
    CHECK(narrow.hash() == hash_weights(origin, 63));
    CHECK(wide.hash() == narrow.hash());
  }
}

TEST_CASE("frozen tensor: nothing but `load` changes it") {
  static_assert(!std::is_copy_constructible_v<nn::FrozenTensor<float>>);
  static_assert(!std::is_assignable_v<nn::FrozenTensor<float>&, nn::FrozenTensor<float>>);
  static_assert(std::is_same_v<decltype(std::declval<nn::FrozenTensor<float>&>().value()), View<const float>>);
  nn::FrozenTensor<float> frozen({7, 3, WeightInit::uniform, 1}, "fc1.weight", {2, 3});
  const float* place = frozen.value().data();
  const Tensor<float> other = random_tensor<float>({2, 3}, 1);
  CHECK_THROWS_WITH_AS(frozen.load(Tensor<float>({3, 2})), "fc1.weight: expected weights [2, 3], got [3, 2]",
                       std::invalid_argument);
  CHECK(frozen.origin());
  frozen.load(other);
  CHECK(same_bits<float>(frozen.value(), other.view()));
  CHECK(frozen.value().data() == place);  // gates that borrow it see the new weights
  CHECK_FALSE(frozen.origin());           // no seed draws these, so they make no ticket
}

TEST_CASE("sources: all begin with the same weights and take one number each") {
  const auto check = [](auto&& source, nn::Init& init, View<const float> weight) {
    CHECK(init.next == 5);
    CHECK(same_bits<float>(
        weight,
        drawn(9, 4, WeightInit::kaiming_normal, default_scale(WeightInit::kaiming_normal, 5, 3), {3, 5})));
    Context context(1);
    Inference<float> pass(context, {.gates = Reading::above_zero});  // gates begin around 1/2: all open
    CHECK(same_bits<float>(source(pass).weight.value(), weight));
  };
  const auto init = [] { return nn::Init{.seed = 9, .weights = WeightInit::kaiming_normal, .next = 4}; };
  nn::Init a = init(), b = init(), c = init(), d = init();
  nn::Frozen<float> frozen(a, "w", {3, 5}, {5, 3});
  nn::Gated<float> gated(b, "w", {3, 5}, {5, 3});
  nn::Trained<float> trained(c, "w", {3, 5}, {5, 3});
  nn::Joint<float> joint(d, "w", {3, 5}, {5, 3});
  check(frozen, a, frozen.frozen.value());
  check(gated, b, gated.frozen.value());
  check(trained, c, trained.weight.value);
  check(joint, d, joint.weight.value);
  CHECK(gated.gate.id == 4);
  CHECK(joint.gate.id == 4);
  CHECK(gated.gate.weight.data() == gated.frozen.value().data());
  CHECK(joint.gate.weight.size() == 0);
}

TEST_CASE("sources: double models draw the same noise") {
  nn::Init init{.seed = 9}, wide_init = init;
  nn::Gated<float> narrow(init, "w", {7, 9}, {9, 7});
  nn::Gated<double> wide(wide_init, "w", {7, 9}, {9, 7});
  wide.gate.theta = converted<double>(narrow.gate.theta);
  Context context(1);
  const PassOptions options{.gates = Reading::sampled, .seed = 3, .step = 4};
  Inference<float> pass(context, options);
  Inference<double> wide_pass(context, options);
  const Var<float> w = narrow(pass).weight;
  const Var<double> wide_w = wide(wide_pass).weight;
  // Other noise would differ by about sigma / 2; the same differs by the rounding of z and of the product.
  CHECK(largest_error(w.value(), Tensor<double>::copy_of(wide_w.value())) < 1e-7);
}

TEST_CASE("sources: moving one keeps the gates over its weight") {
  nn::Init init{.seed = 9};
  nn::Gated<float> source(init, "w", {3, 5}, {5, 3});
  const std::uint64_t hash = source.frozen.hash();
  const nn::Gated<float> moved = std::move(source);
  CHECK(moved.gate.weight.data() == moved.frozen.value().data());
  CHECK(moved.frozen.hash() == hash);
}
