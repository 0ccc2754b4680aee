#include "tombola/gates/mask.hpp"

#include <doctest/doctest.h>

#include <string>
#include <vector>

#include "support/arrays.hpp"

using namespace tombola;

namespace {

/// Gates with these parameters.
GateParameter<float> gates_at(GateKind kind, const std::vector<float>& theta) {
  GateParameter<float> gate;
  gate.name = "fc1";
  gate.kind = kind;
  gate.theta = Tensor<float>({static_cast<Index>(theta.size())});
  std::copy(theta.begin(), theta.end(), gate.theta.begin());
  return gate;
}

std::string text(const Bits& bits) {
  std::string out;
  for (Index i = 0; i < bits.size(); ++i) out += bits[i] ? '1' : '0';
  return out;
}

}  // namespace

TEST_CASE("mask and counts of Gaussian gates") {
  const auto gate = gates_at(GateKind::gaussian, {-1, 0, 0.25f, 0.5f, 0.625f, 1, 1.25f});
  CHECK(text(gates::mask(gate)) == "0000111");
  CHECK(text(gates::mask(gate, Reading::binary)) == "0000111");
  CHECK(text(gates::mask(gate, Reading::above_zero)) == "0011111");
  CHECK(gates::counts(1, gate).open == 3);
  CHECK(gates::counts(1, gate, Reading::above_zero).open == 5);
  CHECK(gates::counts(1, gate).fractional == 3);  // .25, .5, .625: neither 0 nor 1 as relaxed
}

TEST_CASE("mask and counts of hard-concrete gates") {
  // relaxed: closed up to log alpha = log(1/11) = -2.398, open from 2.398 on
  const auto gate = gates_at(GateKind::hard_concrete, {-5, -2.5f, -2.25f, -0.5f, 0, 0.5f, 2.25f, 2.5f, 5});
  CHECK(text(gates::mask(gate)) == "000001111");
  CHECK(text(gates::mask(gate, Reading::above_zero)) == "001111111");
  CHECK(gates::counts(1, gate).open == 4);
  CHECK(gates::counts(1, gate, Reading::above_zero).open == 7);
  CHECK(gates::counts(1, gate).fractional == 5);
}

TEST_CASE("mask reads the gates, not their weights") {
  auto gate = gates_at(GateKind::gaussian, {1, 1, 0});
  const Tensor<float> weight({3}, {0, -1, 1});
  gate.weight = weight;
  CHECK(text(gates::mask(gate)) == "110");
}

TEST_CASE("mask and counts agree for every size") {
  for (const Index size : test::sizes_above(kernels::gate_grain)) {
    CAPTURE(size);
    const auto theta = test::uniform<float>(size, -1, 1.25);
    const auto gate = gates_at(GateKind::gaussian, theta);
    Index open = 0, above_zero = 0;
    for (const float x : theta) {
      open += x > 0.5f;
      above_zero += x > 0;
    }
    CHECK(gates::mask(gate).size() == size);
    CHECK(gates::mask(gate).count() == open);
    CHECK(gates::mask(gate, Reading::above_zero).count() == above_zero);
    for (const int threads : test::thread_counts) {
      CHECK(gates::counts(threads, gate).open == open);
      CHECK(gates::counts(threads, gate, Reading::above_zero).open == above_zero);
    }
  }
}

TEST_CASE("counts of several layers, and their sparsity") {
  auto first = gates_at(GateKind::gaussian, {-1, 0.25f, 0.75f, 1}), second = gates_at(GateKind::gaussian, {0.5f, 0.625f});
  const std::vector<GateParameter<float>*> all{&first, &second};
  CHECK(gates::counts(1, all).open == 3);
  CHECK(gates::counts(1, all, Reading::above_zero).open == 5);
  CHECK(gates::counts(1, all).fractional == 4);
  CHECK(gates::sparsity(1, all) == 0.5);
  CHECK(gates::sparsity(1, std::vector<GateParameter<float>*>{}) == 0);
}

TEST_CASE("mask refuses readings that are not open or closed") {
  const auto gate = gates_at(GateKind::gaussian, {1});
  CHECK_THROWS_WITH_AS(gates::mask(gate, Reading::relaxed), "mask: expected the reading binary or above_zero",
                       std::invalid_argument);
  CHECK_THROWS_WITH_AS(gates::mask(gate, Reading::sampled), "mask: expected the reading binary or above_zero",
                       std::invalid_argument);
  CHECK_THROWS_WITH_AS(gates::counts(1, gate, Reading::relaxed), "counts: expected the reading binary or above_zero",
                       std::invalid_argument);
}

TEST_CASE("mask refuses a parameter that is NaN, which would pass for a closed gate") {
  GateParameter<float> gate = gates::make_gates<float>({}, "fc1", 1, 2, {3, 7});
  gate.theta[17] = std::numeric_limits<float>::quiet_NaN();
  CHECK_THROWS_WITH_AS(gates::mask(gate), "fc1: expected parameters that are numbers, got nan for gate 17", std::runtime_error);
}

TEST_CASE("set_mask sets what mask reads, under every reading") {
  for (const GateKind kind : {GateKind::gaussian, GateKind::hard_concrete}) {
    auto gate = gates_at(kind, test::uniform<float>(100, -1, 1.25));
    Bits open(100);
    for (Index i = 0; i < 100; i += 3) open.set(i, true);
    gates::set_mask(gate, open);
    CHECK(gates::mask(gate) == open);
    CHECK(gates::mask(gate, Reading::above_zero) == open);
    CHECK(gates::counts(1, gate).fractional == 0);
    CHECK_THROWS_WITH_AS(gates::set_mask(gate, Bits(99)), "fc1: expected a mask of 100 gates, got 99",
                         std::invalid_argument);
  }
}

TEST_CASE("shuffled keeps the number of open gates and moves them") {
  Bits open(1000);
  for (Index i = 0; i < 300; ++i) open.set(i, true);
  const Stream stream{1, Purpose::control, 0, 0};
  const Bits other = gates::shuffled(open, stream);
  CHECK(other.count() == 300);
  CHECK(gates::shuffled(open, stream) == other);
  CHECK_FALSE(gates::shuffled(open, {2, Purpose::control, 0, 0}) == other);
  Index stayed = 0;
  for (Index i = 0; i < 1000; ++i) stayed += open[i] && other[i];
  CHECK(std::abs(stayed - 90) < 5 * 6.7);  // hypergeometric: 300 x .3, deviation 6.6
}
