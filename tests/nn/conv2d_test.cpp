#include "tombola/nn/conv2d.hpp"

#include "support/gates.hpp"
#include "support/not_finite.hpp"
#include "support/op.hpp"
#include "support/tensors.hpp"
#include "tombola/nn/batch_norm.hpp"
#include "tombola/nn/linear.hpp"
#include "tombola/nn/state.hpp"
#include "tombola/ops/pool.hpp"
#include "tombola/ticket/model.hpp"

using namespace tombola;
using namespace test_support;

namespace {

/// Two convolutions, normalised, and a linear layer.
template <template <class> class Source, class T = float>
struct Network {
  nn::Conv2d<Source, T> conv1, conv2;
  nn::BatchNorm<T> bn1, bn2;
  nn::Linear<Source, T> fc;

  explicit Network(nn::Init init)
      : conv1(init, "conv1", 3, 4, 3, {.padding = {1, 1}}),
        conv2(init, "conv2", 4, 6, 3, {.stride = {2, 2}, .padding = {1, 1}, .groups = 2}),
        bn1("bn1", 4, {.epsilon = 0.1, .relu = true}),
        bn2("bn2", 6, {.epsilon = 0.1}),
        fc(init, "fc", 6, 5) {}
  Var<T> operator()(const Var<T>& x) { return fc(global_average_pool(bn2(conv2(bn1(conv1(x)))))); }
  auto members() { return std::tie(conv1, bn1, conv2, bn2, fc); }
};

}  // namespace

TEST_CASE("conv2d layer: frozen weights are drawn in torchvision's order") {
  nn::Init init{.seed = 5};
  nn::Conv2d<nn::Frozen> layer(init, "conv1", 3, 4, 2);
  const auto& frozen = layer.weight.frozen;
  CHECK(frozen.shape() == Shape{4, 2, 2, 3});
  auto numbered = Tensor<float>::uninitialized({4, 3, 2, 2});
  draw(*frozen.origin(), 0, numbered.view());
  CHECK(frozen.origin()->scale == default_scale(WeightInit::signed_constant, 3 * 2 * 2, 4 * 2 * 2));
  for (Index o = 0; o < 4; ++o) {
    for (Index y = 0; y < 2; ++y) {
      for (Index x = 0; x < 2; ++x) {
        for (Index i = 0; i < 3; ++i) CHECK(frozen.value()[((o * 2 + y) * 2 + x) * 3 + i] == numbered[((o * 3 + i) * 2 + y) * 2 + x]);
      }
    }
  }
  CHECK(frozen.hash() == hash_weights(*frozen.origin(), 48));
}

TEST_CASE("conv2d layer: gates multiply the weights, and rescale") {
  Context context(1);
  for (const auto& [rescale, side] : {std::pair{Rescale::none, 5}, {Rescale::layer, 5}, {Rescale::layer, 1}, {Rescale::neuron, 5}}) {
    const Tensor<float> x = random_tensor<float>({2, side, side, 4}, 1);  // many outputs for each weight, and few
    nn::Init init{.seed = 3, .gates = {.start_deviation = 0.5}, .rescale = rescale};
    nn::Conv2d<nn::Gated> layer(init, "conv1", 4, 6, 3, {.padding = {1, 1}});
    const PassOptions options{.gates = Reading::binary};
    const Tensor<float> z = converted<float>(gate_values(layer.weight.gate, options));
    Tensor<float> w = Tensor<float>::copy_of(layer.weight.frozen.value());
    double all = 0;
    for (const float value : z) all += static_cast<double>(value);
    for (Index o = 0; o < 6; ++o) {
      double own = 0;
      for (Index i = 0; i < 36; ++i) own += static_cast<double>(z[o * 36 + i]);
      const double s = rescale == Rescale::none ? 1 : rescale == Rescale::layer ? std::sqrt(216 / all) : std::sqrt(36 / std::max(1.0, own));
      for (Index i = 0; i < 36; ++i) w[o * 36 + i] *= z[o * 36 + i] * static_cast<float>(s);
    }
    Inference<float> pass(context, options);
    const Var<float> expected = conv2d(pass.input(x.view()), pass.input(w.view()), {.padding = {1, 1}});
    CHECK(largest_error(layer(pass.input(x.view())).value(), converted<double>(Tensor<float>::copy_of(expected.value()))) < 1e-5);
  }
}

TEST_CASE("conv2d layer: the gradient of a whole network's gates against differences") {
  Context context(1);
  Network<nn::Gated, double> net(nn::Init{.seed = 2, .gates = {.start_deviation = 0.05}, .rescale = Rescale::layer});
  const auto x = random_tensor<double>({2, 6, 6, 3}, 1), dy = random_tensor<double>({2, 5}, 2);
  const auto loss = [&](bool backward) {
    Tape<double> tape(context, {.seed = 7, .step = 3});
    const Var<double> y = net(tape.input(x.view()));
    if (backward) tape.backward(y, dy);
    double sum = 0;
    for (Index i = 0; i < dy.size(); ++i) sum += y.value()[i] * dy[i];
    return sum;
  };
  for (auto* gate : nn::gates<double>(net)) {
    loss(true);
    const Tensor<double> gradient = gates::gradient(context, *gate);
    for (auto* each : nn::gates<double>(net)) each->clear_gradient();
    for (Index i = 0; i < gate->size(); i += 5) {
      const double h = 1e-6, theta = gate->theta[i];
      gate->theta[i] = theta + h;
      const double above = loss(false);
      gate->theta[i] = theta - h;
      const double below = loss(false);
      gate->theta[i] = theta;
      // Second-order differences of h = 1e-6: 1e-10 of rounding, 1e-12 of curvature; a kink of the ReLU in between is not met.
      CHECK(gradient[i] == doctest::Approx((above - below) / (2 * h)).epsilon(1e-6).scale(1));
    }
  }
}

TEST_CASE("conv2d layer: a ticket holds masks and weights in torchvision's order") {
  nn::Init init{.seed = 9, .gates = {.start_deviation = 0.5}};
  Network<nn::Gated> net(init), other(init);
  const ticket::Ticket ticket = ticket::make_ticket(net);
  CHECK(ticket.layers[0].shape == Shape{4, 3, 3, 3});
  CHECK(ticket.layers[1].shape == Shape{6, 2, 3, 3});
  const Bits mask = gates::mask(net.conv2.weight.gate);
  for (Index o = 0; o < 6; ++o) {
    for (Index p = 0; p < 9; ++p) {
      for (Index i = 0; i < 2; ++i) CHECK(ticket.layers[1].mask[(o * 2 + i) * 9 + p] == mask[(o * 9 + p) * 2 + i]);
    }
  }
  ticket::apply_ticket(ticket, other);
  for (std::size_t g = 0; g < 3; ++g) CHECK(gates::mask(*nn::gates(other)[g]) == gates::mask(*nn::gates(net)[g]));
}

TEST_CASE("conv2d layer: a ticket holds running moments in 16 bits") {
  nn::Init init{.seed = 9};
  Network<nn::Gated> net(init), other(init);
  for (Index c = 0; c < 4; ++c) net.bn1.moments.mean[c] = 1 + static_cast<float>(c) / 128;  // 8 bits hold even c / 128 only
  ticket::Ticket ticket = ticket::make_ticket(net);
  REQUIRE(ticket.statistics.size() == 4);
  CHECK(ticket.statistics[0].name == "bn1.running_mean");
  CHECK(ticket.statistics[3].name == "bn2.running_var");
  ticket::apply_ticket(ticket, other);
  const float rounded[] = {1, 1 + 1.0f / 128, 1 + 2.0f / 128, 1 + 3.0f / 128};
  for (Index c = 0; c < 4; ++c) CHECK(other.bn1.moments.mean[c] == rounded[c]);
  net.bn1.moments.mean[1] = 1 + 3.0f / 256;  // between two: the even one
  ticket::round_moments(net);
  CHECK(net.bn1.moments.mean[1] == 1 + 2.0f / 128);
  ticket::apply_ticket(ticket::make_ticket(net), other);
  CHECK(same_bits(other.bn1.moments.mean, net.bn1.moments.mean));
  ticket.statistics.pop_back();
  CHECK_THROWS_WITH_AS(ticket::apply_ticket(ticket, other), "ticket: expected statistics bn2.running_var, got none", std::invalid_argument);
}

TEST_CASE("conv2d layer: running moments are part of the state") {
  nn::Init init{.seed = 9};
  Network<nn::Gated> net(init), other(init);
  Context context(1);
  {
    Tape<float> tape(context);
    net(tape.input(random_tensor<float>({4, 6, 6, 3}, 1)));
  }
  CHECK(net.bn1.moments.mean[0] != 0);
  Writer writer;
  nn::write_state(writer, net);
  Reader reader(writer.written(), "state");
  nn::read_state(reader, other);
  reader.expect_end();
  CHECK(same_bits(other.bn1.moments.mean, net.bn1.moments.mean));
  CHECK(same_bits(other.bn2.moments.variance, net.bn2.moments.variance));
}

TEST_CASE("conv2d layer: moments that were not finite are forgotten") {
  nn::BatchNorm<float> bn("bn", 1);
  bn.moments.mean[0] = bn.moments.variance[0] = std::numeric_limits<float>::infinity();
  bn.moments.rows = 3;
  nn::restart_moments(bn, [&] {
    Context context(1);
    Inference<float> pass(context, {.normalisation = Normalisation::collect});
    bn(pass.input(Tensor<float>({2, 1, 1, 1}, {1, 3})));
  });
  CHECK(bn.moments.mean[0] == 2);
  CHECK(bn.moments.variance[0] == 2);
}

TEST_CASE("conv2d layer: collecting moments gives the average over batches by their rows") {
  nn::BatchNorm<float> bn("bn", 1);
  Context context(1);
  const auto see = [&](const Tensor<float>& batch) {
    Inference<float> pass(context, {.normalisation = Normalisation::collect});
    bn(pass.input(batch));
  };
  see(Tensor<float>({2, 1}, {100, 200}));
  nn::restart_moments(bn, [&] {
    see(Tensor<float>({2, 1}, {0, 2}));
    see(Tensor<float>({2, 1}, {4, 6}));
  });
  CHECK(bn.moments.mean[0] == doctest::Approx(3));
  CHECK(bn.moments.variance[0] == doctest::Approx(2));  // unbiased: 2 in both
  nn::restart_moments(bn, [&] {
    see(Tensor<float>({3, 1}, {0, 3, 6}));
    see(Tensor<float>({1, 1}, {7}));  // a last batch that is not full counts as much as it has rows
  });
  CHECK(bn.moments.mean[0] == doctest::Approx(4));
  // Without a batch they stay what they were.
  nn::restart_moments(bn, [] {});
  CHECK(bn.moments.mean[0] == doctest::Approx(4));
  CHECK_THROWS_WITH_AS(nn::restart_moments(bn, [] { throw std::runtime_error("no images"); }), "no images", std::runtime_error);
  CHECK(bn.moments.mean[0] == doctest::Approx(4));
}

TEST_CASE("conv2d layer: moments of a double model start anew too") {
  nn::BatchNorm<double> bn("bn", 1);
  Context context(1);
  for (const double value : {5.0, 1.0}) {
    nn::restart_moments(bn, [&] {
      Inference<double> pass(context, {.normalisation = Normalisation::collect});
      bn(pass.input(Tensor<double>({2, 1}, {value - 1, value + 1})));
    });
    CHECK(bn.moments.mean[0] == doctest::Approx(value));
    CHECK(bn.moments.rows == 2);
  }
}

TEST_CASE("conv2d layer: where the pass asks for it, the first layer whose output is not finite is named") {
  constexpr float nan = std::numeric_limits<float>::quiet_NaN(), inf = std::numeric_limits<float>::infinity();
  const nn::Init init{.seed = 3};
  Tensor<float> x = random_tensor<float>({2, 6, 6, 3}, 1);
  {
    Network<nn::Frozen> net(init);
    CHECK(not_finite(net, x) == "all is finite");
    x[36 * 3] = nan;  // the first pixel of the second image
    CHECK(not_finite(net, x) == "conv1: expected finite outputs, got nan at row 36, column 0");
    Context context(1);
    Inference<float> plain(context);
    CHECK_NOTHROW(net(plain.input(x)));
    x[36 * 3] = 0;
  }
  const auto spoiled = [](auto& layer, Index at) {
    Tensor<float> weights = Tensor<float>::copy_of(layer.weight.frozen.value());
    weights[at] = nan;
    layer.weight.frozen.load(weights);
  };
  Network<nn::Frozen> first(init), second(init), last(init), bn1(init), bn2(init);
  spoiled(first.conv1, ((3 * 3 + 1) * 3 + 1) * 3);  // the middle of the kernel of the last output
  CHECK(not_finite(first, x) == "conv1: expected finite outputs, got nan at row 0, column 3");
  spoiled(second.conv2, ((4 * 3 + 1) * 3 + 1) * 2);
  CHECK(not_finite(second, x) == "conv2: expected finite outputs, got nan at row 0, column 4");
  spoiled(last.fc, 2 * 6);
  CHECK(not_finite(last, x) == "fc: expected finite outputs, got nan at row 0, column 2");
  bn1.bn1.moments.mean[2] = nan;  // the ReLU behind it keeps a NaN
  CHECK(not_finite(bn1, x) == "bn1: expected finite outputs, got nan at row 0, column 2");
  bn2.bn2.moments.mean[5] = inf;
  CHECK(not_finite(bn2, x) == "bn2: expected finite outputs, got -inf at row 0, column 5");
}

TEST_CASE("batch norm layer: an input that is not finite is named, one row by the running moments and a whole column by the batch's") {
  Tensor<float> x = random_tensor<float>({4, 19}, 1);
  nn::BatchNorm<float> bn("bn", 19);
  for (const auto normalisation : {Normalisation::running, Normalisation::collect, Normalisation::batch}) {
    CHECK(not_finite(bn, x, {.normalisation = normalisation}) == "all is finite");
  }
  x[2 * 19 + 17] = std::numeric_limits<float>::infinity();
  CHECK(not_finite(bn, x) == "bn: expected finite outputs, got inf at row 2, column 17");
  CHECK(not_finite(bn, x, {.normalisation = Normalisation::batch}) == "bn: expected finite outputs, got nan at row 0, column 17");
}

TEST_CASE("conv2d layer: what does not fit") {
  nn::Init init;
  CHECK_THROWS_WITH_AS((nn::Conv2d<nn::Frozen>(init, "conv1", 3, 4, 3, {.groups = 0})),
                       "conv1: expected channels in and out that the groups divide, got 3 and 4 in 0 groups", std::invalid_argument);
  CHECK_THROWS_WITH_AS((nn::Conv2d<nn::Frozen>(init, "conv1", 3, 4, 3, {.groups = 2})),
                       "conv1: expected channels in and out that the groups divide, got 3 and 4 in 2 groups", std::invalid_argument);
  CHECK_THROWS_WITH_AS((nn::Conv2d<nn::Frozen>(init, "conv1", 3, 4, 3, {.stride = {0, 1}})), "conv1: expected strides of at least 1, got 0 and 1",
                       std::invalid_argument);
  CHECK_THROWS_WITH_AS((nn::Conv2d<nn::Frozen>(init, "conv1", 3, 4, 3, {.dilation = {1, 0}})), "conv1: expected dilations of at least 1, got 1 and 0",
                       std::invalid_argument);
  CHECK_THROWS_WITH_AS((nn::Conv2d<nn::Frozen>(init, "conv1", 3, 4, 3, {.padding = {-1, 0}})), "conv1: expected padding of at least 0, got -1 and 0",
                       std::invalid_argument);
  CHECK_THROWS_WITH_AS((nn::Conv2d<nn::Frozen>(init, "conv1", 3, 4, 0)), "conv1: expected a kernel of at least 1, got 0", std::invalid_argument);
  nn::Conv2d<nn::Frozen> layer(init, "conv1", 3, 4, 3);
  Context context(1);
  Inference<float> pass(context);
  CHECK_THROWS_WITH_AS(layer(pass.input(Tensor<float>({1, 5, 5, 2}))), "conv1: expected x [batch, height, width, 3], got [1, 5, 5, 2]",
                       std::invalid_argument);
  CHECK_THROWS_WITH_AS(layer(pass.input(Tensor<float>({1, 2, 5, 3}))),
                       "conv1: expected images at least as large as the kernel, got [1, 2, 5, 3] and [4, 3, 3, 3]", std::invalid_argument);
  CHECK_THROWS_WITH_AS(nn::BatchNorm<float>("bn", 0), "batch_norm: expected at least one channel, got 0", std::invalid_argument);
}
