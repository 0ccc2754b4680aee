#include "tombola/ticket/model.hpp"

#include <doctest/doctest.h>

#include <bit>
#include <cmath>
#include <limits>

#include "support/temporary_folder.hpp"
#include "support/tensors.hpp"
#include "tombola/models/lenet.hpp"
#include "tombola/nn/batch_norm.hpp"
#include "tombola/ops/sum.hpp"

using namespace tombola;
using namespace test_support;

namespace {

const models::LeNetOptions small{.inputs = 6, .hidden = {9, 5}, .outputs = 3};
const models::LeNetOptions structured{
    .inputs = 6, .hidden = {9, 5}, .outputs = 3, .unit_gates = true, .input_gates = true};

nn::Init init(GateKind kind = GateKind::gaussian, std::uint64_t seed = 3) {
  return {.seed = seed, .gates = {.kind = kind, .start_deviation = 0.5}, .rescale = Rescale::layer};
}

/// A linear layer, normalised.
struct Normalised {
  nn::Linear<nn::Gated> fc;
  nn::BatchNorm<float> bn{"bn", 3};

  explicit Normalised(nn::Init init) : fc(init, "fc", 6, 3) {}
  auto members() { return std::tie(fc, bn); }
};

template <class Model>
std::vector<Bits> masks(Model& model) {
  std::vector<Bits> all;
  for (const auto* gate : nn::gates(model)) all.push_back(gates::mask(*gate));
  return all;
}

template <class Model>
Tensor<float> outputs(Model& model, Reading reading) {
  Context context(1);
  Inference<float> pass(context, {.gates = reading});
  return Tensor<float>::copy_of(model(pass.input(random_tensor<float>({4, 6}, 8))).value());
}

}  // namespace

TEST_CASE("make_ticket: weights, where they come from, and the binary masks of their gates") {
  for (const GateKind kind : {GateKind::gaussian, GateKind::hard_concrete}) {
    models::LeNet<nn::Gated> net(init(kind), small);
    const ticket::Ticket found = ticket::make_ticket(net, {{"network", "lenet"}});
    CHECK(found.seed == 3);
    CHECK(found.properties == std::map<std::string, std::string>{{"network", "lenet"}});
    CHECK(found.units.empty());
    REQUIRE(found.layers.size() == 3);
    for (std::size_t l = 0; l < 3; ++l) {
      auto& [frozen, gate, rescale] = net.layers[l].weight;
      const ticket::Layer& layer = found.layers[l];
      CHECK(layer.name == concat("fc", l + 1, ".weight"));
      CHECK(layer.shape == frozen.shape());
      CHECK(layer.weights == frozen.origin());
      CHECK(layer.weights.id == l);
      CHECK(layer.mask == gates::mask(gate));
      CHECK(layer.mask.count() > 0);
      CHECK(layer.mask.count() < layer.mask.size());
      CHECK(layer.weights_hash == frozen.hash());
      CHECK(ticket::regenerates(layer));
    }
  }
}

TEST_CASE("make_ticket: weights without gates are kept as a whole, gates on neurons become units") {
  models::LeNet<nn::Frozen> net(init(), structured);
  const ticket::Ticket found = ticket::make_ticket(net);
  REQUIRE(found.layers.size() == 3);
  for (const auto& layer : found.layers) CHECK(layer.mask.count() == layer.shape.size());
  REQUIRE(found.units.size() == 3);
  const auto gates = nn::gates(net);
  for (std::size_t i = 0; i < 3; ++i) {
    CHECK(found.units[i].name == gates[i]->name);
    CHECK(found.units[i].mask == gates::mask(*gates[i]));
  }
  CHECK(found.units[0].name == "units1");
  CHECK(found.units[2].name == "inputs");
}

TEST_CASE("make_ticket: in double the same ticket") {
  models::LeNet<nn::Gated, float> narrow(init(), small);
  models::LeNet<nn::Gated, double> wide(init(), small);
  CHECK(ticket::encode(ticket::make_ticket(narrow)) == ticket::encode(ticket::make_ticket<double>(wide)));
}

TEST_CASE("make_ticket: trained and loaded weights make no ticket") {
  models::LeNet<nn::Trained> trained(init(), small);
  CHECK_THROWS_WITH_AS(ticket::make_ticket(trained),
                       "ticket: expected weights as the seed drew them, got trained weights fc1.weight",
                       std::invalid_argument);
  models::LeNet<nn::Joint> joint(init(), small);
  CHECK_THROWS_WITH_AS(ticket::make_ticket(joint),
                       "ticket: expected weights as the seed drew them, got trained weights fc1.weight",
                       std::invalid_argument);
  models::LeNet<nn::Gated> loaded(init(), small);
  loaded.layers[1].weight.frozen.load(random_tensor<float>({5, 9}, 1));
  CHECK_THROWS_WITH_AS(ticket::make_ticket(loaded),
                       "ticket: expected weights as the seed drew them, got loaded weights fc2.weight",
                       std::invalid_argument);
  const ticket::Ticket good = [] {
    models::LeNet<nn::Gated> net(init(), small);
    return ticket::make_ticket(net);
  }();
  CHECK_THROWS_WITH_AS(ticket::apply_ticket(good, loaded), "fc2.weight: expected signed_constant 0.471404523 of seed 3, stream 1, got loaded weights",
                       std::invalid_argument);
  CHECK_THROWS_WITH_AS(ticket::apply_ticket(good, trained), "ticket: expected a model of 3 frozen weights, got 0", std::invalid_argument);
  CHECK_THROWS_WITH_AS(ticket::apply_ticket(good, joint), "ticket: expected a model of 3 frozen weights, got 0", std::invalid_argument);
}

TEST_CASE("make_ticket: two parts of one name are refused, as their masks or moments would be one") {
  struct Twins {
    nn::Linear<nn::Gated> first, second;
    explicit Twins(nn::Init init) : first(init, "fc", 6, 9), second(init, "fc", 9, 3) {}
    auto members() { return std::tie(first, second); }
  };
  struct TwinUnits {
    nn::UnitGates<float> first, second;
    explicit TwinUnits(nn::Init init) : first(init, "units", 4), second(init, "units", 5) {}
    auto members() { return std::tie(first, second); }
  };
  struct TwinNorms {
    nn::BatchNorm<float> first{"bn", 3}, second{"bn", 3};
    auto members() { return std::tie(first, second); }
  };
  TwinUnits units(init());
  CHECK_THROWS_WITH_AS(ticket::make_ticket(units), "ticket: expected different names, got units twice", std::invalid_argument);
  TwinNorms norms;
  CHECK_THROWS_WITH_AS(ticket::make_ticket(norms), "ticket: expected different names, got bn.running_mean twice", std::invalid_argument);
  Twins twins(init());
  CHECK_THROWS_WITH_AS(ticket::make_ticket(twins), "ticket: expected different names, got fc.weight twice", std::invalid_argument);
}

TEST_CASE("make_ticket: gates on a weight that no weight claims, or of another shape, are refused") {
  models::LeNet<nn::Gated> stray(init(), small), twice(init(), small), other(init(), small);
  stray.layers[1].weight.gate.name = "fc2.gates";
  CHECK_THROWS_WITH_AS(ticket::make_ticket(stray), "ticket: expected a frozen weight for the gates fc2.gates, got none of that name", std::invalid_argument);
  twice.layers[1].weight.gate.name = "fc1.weight";
  CHECK_THROWS_WITH_AS(ticket::make_ticket(twice), "ticket: expected different names, got fc1.weight twice", std::invalid_argument);
  other.layers[0].weight.gate.theta = Tensor<float>({2, 100});
  CHECK_THROWS_WITH_AS(ticket::make_ticket(other), "fc1.weight: expected gates [9, 6], got [2, 100]", std::invalid_argument);
}

TEST_CASE("make_ticket: moments that no reader would take are refused") {
  constexpr float nan = std::numeric_limits<float>::quiet_NaN(), largest = std::numeric_limits<float>::max();
  const auto refused = [](bool mean, float value, const char* message) {
    Normalised model(init());
    (mean ? model.bn.moments.mean : model.bn.moments.variance)[1] = value;
    CHECK_THROWS_WITH_AS(ticket::make_ticket(model), message, std::invalid_argument);
  };
  refused(true, nan, "bn.running_mean: expected finite moments, variances of at least 0, got nan");
  refused(true, largest, "bn.running_mean: expected finite moments, variances of at least 0, got inf");  // in 16 bits
  refused(true, -largest, "bn.running_mean: expected finite moments, variances of at least 0, got -inf");
  refused(false, -1, "bn.running_var: expected finite moments, variances of at least 0, got -1");
  // A NaN of whatever bits is not rounded to a number.
  Normalised model(init());
  model.bn.moments.mean[1] = std::bit_cast<float>(0x7FFFFFFFu);
  ticket::round_moments(model);
  CHECK(std::isnan(model.bn.moments.mean[1]));
}

TEST_CASE("apply_ticket: pending gradients are forgotten") {
  Context context(1);
  models::LeNet<nn::Gated> net(init(), small);
  const ticket::Ticket found = ticket::make_ticket(net);
  Tape<float> tape(context);
  tape.backward(sum(net(tape.input(random_tensor<float>({4, 6}, 8)))));
  for (const auto* gate : nn::gates(net)) REQUIRE(gate->pending);
  ticket::apply_ticket(found, net);
  for (const auto* gate : nn::gates(net)) CHECK_FALSE((gate->pending || gate->has_gradient));
}

TEST_CASE("apply_ticket: through a file, into a model of the same seed; every reading then gives the binary outputs") {
  const TemporaryFolder folder;
  const auto check = [&folder](auto& searched, auto& fresh) {
    ticket::save(ticket::make_ticket(searched), folder / "t.tombola");
    REQUIRE(masks(searched) != masks(fresh));
    ticket::apply_ticket(ticket::load(folder / "t.tombola"), fresh);
    CHECK(masks(searched) == masks(fresh));
    const Tensor<float> expected = outputs(searched, Reading::binary);
    for (const Reading reading : {Reading::binary, Reading::above_zero, Reading::relaxed})
      CHECK(same_bits(outputs(fresh, reading), expected));
  };
  const auto closed = [](auto& model) {
    for (auto* gate : nn::gates(model)) gates::set_mask(*gate, Bits(gate->size()));
  };
  for (const GateKind kind : {GateKind::gaussian, GateKind::hard_concrete}) {
    models::LeNet<nn::Gated> searched(init(kind), small), fresh(init(kind), small);
    closed(fresh);
    check(searched, fresh);
    models::LeNet<nn::Frozen> units(init(kind), structured), fresh_units(init(kind), structured);
    closed(fresh_units);
    check(units, fresh_units);
  }
}

TEST_CASE("apply_ticket: a model that does not match is refused, and stays as it was") {
  models::LeNet<nn::Gated> net(init(), small);
  const ticket::Ticket found = ticket::make_ticket(net);
  const auto refused = [](const ticket::Ticket& ticket, auto&& model, const char* message) {
    for (auto* gate : nn::gates(model)) gates::set_mask(*gate, Bits(gate->size()));
    const auto before = masks(model);
    CHECK_THROWS_WITH_AS(ticket::apply_ticket(ticket, model), message, std::invalid_argument);
    CHECK(masks(model) == before);
  };
  refused(found, models::LeNet<nn::Gated>(init(GateKind::gaussian, 4), small),
          "fc1.weight: expected signed_constant 0.577350259 of seed 3, stream 0, got signed_constant 0.577350259 of seed 4, stream 0");
  refused(found, models::LeNet<nn::Gated>(init(), {.inputs = 6, .hidden = {9, 4}, .outputs = 3}),
          "fc2.weight: expected weights [5, 9], got [4, 9]");
  refused(found, models::LeNet<nn::Gated>(init(), {.inputs = 6, .hidden = {9, 5, 4}, .outputs = 3}),
          "fc3.weight: expected weights [3, 5], got [4, 5]");
  refused(found, models::LeNet<nn::Gated>(init(), {.inputs = 6, .hidden = {9}, .outputs = 5}),
          "ticket: expected a model of 3 frozen weights, got 2");
  refused(found, models::LeNet<nn::Gated>(init(), {.inputs = 6, .hidden = {9, 5, 3}, .outputs = 2}),
          "ticket: expected a model of 3 frozen weights, got more: fc4.weight");
  refused(found, Normalised(init()), "ticket: expected the weights fc1.weight [9, 6] as number 1, got fc.weight [3, 6]");
  nn::Init uniform = init();
  uniform.weights = WeightInit::uniform;
  refused(found, models::LeNet<nn::Gated>(uniform, small),
          "fc1.weight: expected signed_constant 0.577350259 of seed 3, stream 0, got uniform 1 of seed 3, stream 0");
  // A mask on units that the model does not have, gates that the ticket has no mask for, a mask on a weight without gates.
  models::LeNet<nn::Frozen> units(init(), structured);
  const ticket::Ticket of_units = ticket::make_ticket(units);
  refused(of_units, models::LeNet<nn::Frozen>(init(), small), "ticket: expected gates for the mask units1, got none");
  models::LeNetOptions hidden_only = structured;
  hidden_only.input_gates = false;
  refused(of_units, models::LeNet<nn::Frozen>(init(), hidden_only),
          "ticket: expected gates for the mask inputs, got none");
  refused(found, models::LeNet<nn::Frozen>(init(), small), "ticket: expected gates for the mask fc1.weight, got none");
  models::LeNet<nn::Frozen> plain(init(), hidden_only);
  refused(ticket::make_ticket(plain), models::LeNet<nn::Frozen>(init(), structured),
          "ticket: expected a mask for the gates inputs, got none");
  ticket::Ticket wrong = of_units;
  wrong.units[1].mask = Bits(6);
  refused(wrong, models::LeNet<nn::Frozen>(init(), structured), "units2: expected a mask of 5 gates, got 6");
}

TEST_CASE("apply_ticket: statistics that the model does not have, or that no batch has, are refused, and it stays as it was") {
  Normalised searched(init()), model(init());
  for (Index c = 0; c < 3; ++c) {
    searched.bn.moments.mean[c] = static_cast<float>(c) - 1;
    searched.bn.moments.variance[c] = static_cast<float>(c);  // from 0 on
  }
  const ticket::Ticket good = ticket::make_ticket(searched);
  REQUIRE(good.statistics.size() == 2);  // bn.running_mean, then bn.running_var
  for (auto* gate : nn::gates(model)) gates::set_mask(*gate, Bits(gate->size()));
  const auto before = masks(model);
  const auto refused = [&](const auto& change, const char* message) {
    ticket::Ticket wrong = good;
    change(wrong.statistics);
    CHECK_THROWS_WITH_AS(ticket::apply_ticket(wrong, model), message, std::invalid_argument);
    CHECK(masks(model) == before);
    for (Index c = 0; c < 3; ++c) CHECK((model.bn.moments.mean[c] == 0 && model.bn.moments.variance[c] == 1));
  };
  refused([](auto& s) { s.clear(); }, "ticket: expected statistics bn.running_mean, got none");
  refused([](auto& s) { s[1].name = "bn.variance"; }, "ticket: expected statistics bn.running_var, got none");
  refused([](auto& s) { s.push_back({"bn2.running_mean", "bfloat16", {0, 0, 0}}); }, "ticket: expected a model with 3 statistics, got 2");
  refused([](auto& s) { s[0].format = "float16"; }, "bn.running_mean: expected 3 numbers in bfloat16, got 3 in float16");
  refused([](auto& s) { s[1].values.pop_back(); }, "bn.running_var: expected 3 numbers in bfloat16, got 2 in bfloat16");
  refused([](auto& s) { s[1].values.push_back(0); }, "bn.running_var: expected 3 numbers in bfloat16, got 4 in bfloat16");
  constexpr std::uint16_t nan = 0x7FC0, infinity = 0x7F80, least = 0xFF80, minus_one = 0xBF80;
  for (const auto& [moment, bits, message] :
       {std::tuple{0, nan, "bn.running_mean: expected finite moments, variances of at least 0, got nan"},
        {0, infinity, "bn.running_mean: expected finite moments, variances of at least 0, got inf"},
        {0, least, "bn.running_mean: expected finite moments, variances of at least 0, got -inf"},
        {1, nan, "bn.running_var: expected finite moments, variances of at least 0, got nan"},
        {1, infinity, "bn.running_var: expected finite moments, variances of at least 0, got inf"},
        {1, minus_one, "bn.running_var: expected finite moments, variances of at least 0, got -1"}}) {
    const auto at = static_cast<std::size_t>(moment);
    const std::uint16_t value = bits;
    refused([at, value](auto& s) { s[at].values[2] = value; }, message);
  }
  ticket::apply_ticket(good, model);
  CHECK(same_bits(model.bn.moments.mean, searched.bn.moments.mean));
  CHECK(same_bits(model.bn.moments.variance, searched.bn.moments.variance));
}
