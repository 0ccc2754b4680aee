#include "tombola/models/gpt.hpp"

#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>

#include "support/models.hpp"
#include "support/tensors.hpp"
#include "support/worst.hpp"
#include "tombola/ops/cross_entropy.hpp"
#include "tombola/ticket/model.hpp"

using namespace tombola;
using namespace test_support;

namespace {

models::GptOptions small() { return {.vocabulary = 5, .length = 7, .columns = 8, .depth = 2, .heads = 2, .mlp = 12}; }

template <class Ids>
concept takes_ids = requires(models::Gpt<nn::Gated>& gpt, Pass<float>& pass, Ids&& ids) { gpt(pass, std::forward<Ids>(ids)); };
static_assert(takes_ids<Tensor<std::int32_t>&> && takes_ids<View<const std::int32_t>> && !takes_ids<Tensor<std::int32_t>>);

Tensor<std::int32_t> some_ids(const Shape& shape, std::int32_t vocabulary) {
  const Tensor<double> numbers = random_tensor<double>(shape, 5, 0, vocabulary);
  Tensor<std::int32_t> ids(shape);
  for (Index i = 0; i < ids.size(); ++i) ids[i] = static_cast<std::int32_t>(numbers[i]);
  return ids;
}

template <class T>
Tensor<T> one_hot(const Tensor<std::int32_t>& ids, Index vocabulary) {
  Tensor<T> x(ids.shape().with(vocabulary));
  for (Index i = 0; i < ids.size(); ++i) x[i * vocabulary + ids[i]] = T(1);
  return x;
}

}  // namespace

TEST_CASE("gpt: the weights are those of GPT-2 without biases, learned positions and a tied head, under nanoGPT's names") {
  models::Gpt<nn::Frozen> gpt(nn::Init{}, {.vocabulary = 65, .length = 256, .columns = 384, .depth = 6, .heads = 6});
  CHECK(weight_count(gpt) == 65 * 384 + 6 * 12 * 384 * 384 + 65 * 384);
  const auto names = weight_names(gpt);
  CHECK(names.size() == 2 + 6 * 4);
  CHECK(names.front() == "transformer.wte.weight");
  CHECK(std::vector<std::string>(names.begin() + 5, names.begin() + 9) ==
        std::vector<std::string>{"transformer.h.1.attn.c_attn.weight", "transformer.h.1.attn.c_proj.weight", "transformer.h.1.mlp.c_fc.weight",
                                 "transformer.h.1.mlp.c_proj.weight"});
  CHECK(names.back() == "lm_head.weight");
}

TEST_CASE("gpt: a token sees those before it, and no later one") {
  Context context(2);
  models::Gpt<nn::Frozen> gpt(nn::Init{.seed = 2}, small());
  const Tensor<std::int32_t> ids = some_ids({3, 7}, 5);
  Inference<float> pass(context);
  const auto logits = gpt(pass, ids.view());
  CHECK(logits.shape() == Shape{21, 5});
  for (Index changed = 0; changed < 7; ++changed) {
    Tensor<std::int32_t> others = ids.clone();
    others[7 + changed] = (others[7 + changed] + 1) % 5;  // of the second sequence
    const auto now = gpt(pass, others.view());
    for (Index row = 0; row < 21; ++row) {
      const bool later = row >= 7 + changed && row < 14;
      bool same = true;
      for (Index c = 0; c < 5; ++c) same &= now.value()[row * 5 + c] == logits.value()[row * 5 + c];
      CHECK(same == !later);
    }
  }
  // A shorter sequence has the logits of a longer one's beginning, up to the order in which matrices of another size are added up.
  const Tensor<std::int32_t> beginning({1, 3}, {ids[0], ids[1], ids[2]});
  const auto fewer = gpt(pass, beginning.view());
  for (Index i = 0; i < 15; ++i) CHECK(fewer.value()[i] == doctest::Approx(logits.value()[i]).epsilon(1e-5));
}

TEST_CASE("gpt: ids and one-hot rows are the same") {
  Context context(1);
  models::Gpt<nn::Gated, double> gpt(nn::Init{.seed = 2, .rescale = Rescale::layer}, small());
  const Tensor<std::int32_t> ids = some_ids({3, 6}, 5);
  Inference<double> pass(context);
  CHECK(largest_error<double>(gpt(pass, ids.view()).value(), Tensor<double>::copy_of(gpt(pass.input(one_hot<double>(ids, 5))).value())) < 1e-14);
}

TEST_CASE("gpt: gradients of the whole network against differences") {
  Context context(1);
  models::Gpt<nn::Trained, double> gpt(nn::Init{.seed = 2}, small());
  const Tensor<std::int32_t> ids = some_ids({2, 7}, 5), next = some_ids({14}, 5);
  Tensor<double> mixture = one_hot<double>(ids, 5);
  for (Index i = 0; i < mixture.size(); ++i) mixture[i] += 0.1 * std::sin(static_cast<double>(i));
  const auto check = [&](const auto& loss_in, Tensor<double>& values, const Tensor<double>& gradient) {
    double worst = 0;
    for (Index i = 0; i < values.size(); i += 1 + values.size() / 9) {
      const double step = 1e-5, at = values[i];
      const auto value = [&](double moved) {
        values[i] = moved;
        Inference<double> pass(context);
        const double result = loss_in(pass).item();
        values[i] = at;
        return result;
      };
      test::widen(worst, std::abs((value(at + step) - value(at - step)) / (2 * step) - gradient[i]));
    }
    CHECK(worst < 1e-8);  // differences of this step are good to 1e-10 of a third derivative of about 1
  };
  const auto by_ids = [&](Pass<double>& pass) { return cross_entropy(gpt(pass, ids.view()), next.view()); };
  const auto by_mixture = [&](Pass<double>& pass) { return cross_entropy(gpt(pass.input(mixture)), next.view()); };
  const auto check_all = [&](const auto& loss_in) {
    Tape<double> tape(context);
    tape.backward(loss_in(tape));
    for (auto* parameter : nn::parameters<double>(gpt)) {
      CAPTURE(parameter->name);
      check(loss_in, parameter->value, parameter->gradient);
      parameter->clear_gradient();
    }
  };
  check_all(by_ids);
  check_all(by_mixture);
  Parameter<double> x(mixture.clone());
  Tape<double> tape(context);
  tape.backward(cross_entropy(gpt(parameter_value(tape, x)), next.view()));
  check(by_mixture, mixture, x.gradient);
}

TEST_CASE("gpt: a search finds the rule of a sequence, and a ticket gives the same network again") {
  auto options = small();
  options.columns = 32;
  options.mlp = 64;
  const nn::Init init{.seed = 4, .rescale = Rescale::layer};
  models::Gpt<nn::Gated> gpt(init, options), again(init, options);
  // Each token is the sum of the two before it, modulo 5: no table of single tokens can tell it.
  Tensor<std::int32_t> ids({25, 7}), next({25 * 7});
  for (std::int32_t s = 0; s < 25; ++s) {
    std::int32_t a = s / 5, b = s % 5;
    for (Index t = 0; t < 7; ++t) {
      ids[s * 7 + t] = a;
      next[s * 7 + t] = b;
      const std::int32_t c = (a + b) % 5;
      a = b;
      b = c;
    }
  }
  Context context(2);
  optim::Adam<float> adam(context, nn::gates(gpt), {.rate = 0.02});
  for (std::uint32_t step = 0; step < 400; ++step) {
    for (auto* gate : nn::gates(gpt)) gate->sigma = 0.3f;
    Tape<float> tape(context, {.seed = 1, .step = step});
    tape.backward(cross_entropy(gpt(tape, ids.view()), next.view()));
    adam.step();
  }
  Inference<float> pass(context);
  const auto logits = gpt(pass, ids.view());
  Index right = 0;  // the first of each sequence cannot be known
  for (Index row = 0; row < 175; ++row) {
    if (row % 7 == 0) continue;
    const float* at = logits.value().data() + row * 5;
    right += std::max_element(at, at + 5) - at == next[row];
  }
  CHECK(right > 60);  // of 150; whoever sees one token alone gets 30; 116 with AVX-512
  ticket::apply_ticket(ticket::decode(ticket::encode(ticket::make_ticket(gpt)), "ticket"), again);
  CHECK(same_bits<float>(again(pass, ids.view()).value(), logits.value()));
}

TEST_CASE("gpt: effective gates, in the table of tokens too") {
  models::Gpt<nn::Gated> gpt(nn::Init{}, small());
  Index total = 0;
  for (auto* gate : nn::gates(gpt)) {
    gates::set_mask(*gate, Bits::all(gate->size()));
    total += gate->size();
  }
  CHECK(nn::effective_kept(gpt) == total);
  // Nothing reads column 3 of the tokens: what writes it is of no effect. That is its row of each matrix that writes columns.
  const auto all = nn::gates(gpt);
  const auto close = [](GateParameter<float>& gate, const auto& closed) {
    Bits open = Bits::all(gate.size());
    for (Index i = 0; i < gate.size(); ++i) open.set(i, !closed(i));
    gates::set_mask(gate, open);
    return gate.size() - open.count();
  };
  Index closed = 0;
  for (auto* gate : all) {
    const std::string& name = gate->name;
    if (name.ends_with("c_attn.weight") || name.ends_with("c_fc.weight") || name == "lm_head.weight") {
      closed += close(*gate, [](Index i) { return i % 8 == 3; });
    }
  }
  const Index without_effect = 5 /* of the table */ + 2 * (8 + 12) /* c_proj of attention and mlp, twice */;
  CHECK(nn::effective_kept(gpt) == total - closed - without_effect);
}

TEST_CASE("gpt: structured gates on heads and hidden neurons") {
  auto options = small();
  options.unit_gates = true;
  models::Gpt<nn::Frozen> gpt(nn::Init{}, options);
  std::vector<Index> sizes;
  for (const auto* gate : nn::gates(gpt)) sizes.push_back(gate->size());
  CHECK(sizes == std::vector<Index>{2, 12, 2, 12});
}

TEST_CASE("gpt: what it refuses") {
  const auto gpt = [](models::GptOptions options) { return models::Gpt<nn::Frozen>(nn::Init{}, options); };
  auto options = small();
  options.vocabulary = 0;
  CHECK_THROWS_WITH_AS(gpt(options), "gpt: expected a vocabulary and a length of at least 1, got 0 and 7", std::invalid_argument);
  options = small();
  options.depth = -1;
  CHECK_THROWS_WITH_AS(gpt(options), "gpt: expected a depth and hidden neurons of at least 0, got -1 and 12", std::invalid_argument);
  options = small();
  options.heads = 3;
  CHECK_THROWS_WITH_AS(gpt(options), "transformer.h.0.attn: expected heads that divide the width, got 3 heads and 8", std::invalid_argument);
  options = small();
  options.columns = 9;
  CHECK_THROWS_WITH_AS(gpt(options), "sine_positions: expected an even number of columns, at least 2, got 9", std::invalid_argument);
  CHECK_THROWS_WITH_AS(models::Gpt<nn::Gated>(nn::Init{.rescale = Rescale::neuron}, small()),
                       "gpt: expected rescaling per layer or none, got per neuron", std::invalid_argument);

  Context context(1);
  auto model = gpt(small());
  Inference<float> pass(context);
  const Tensor<std::int32_t> flat = some_ids({7}, 5), long_one = some_ids({1, 8}, 5), outside({1, 1}, {5});
  CHECK_THROWS_WITH_AS(model(pass, flat), "gpt: expected ids [sequences, length], got [7]", std::invalid_argument);
  CHECK_THROWS_WITH_AS(model(pass, long_one), "gpt: expected sequences of at most 7 tokens, got 8", std::invalid_argument);
  CHECK_THROWS_WITH_AS(model(pass, outside.view()), "embedding: expected ids in [0, 5), got 5 at place 0", std::invalid_argument);
  CHECK_THROWS_WITH_AS(model(pass.input(random_tensor<float>({1, 2, 4}, 1))), "gpt: expected x [sequences, length, 5], got [1, 2, 4]",
                       std::invalid_argument);
}
