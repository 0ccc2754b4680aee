#include "support/networks.hpp"

#include <doctest/doctest.h>

#include "support/temporary_folder.hpp"
#include "support/tensors.hpp"

using namespace examples;
using namespace test_support;

namespace {

const Properties small_lenet{{"network", "lenet"}, {"image", "4,4,1"}, {"classes", "3"}, {"hidden", "6,5"}, {"activation", "relu"}, {"rescale", "layer"},
                             {"input.mean", "0.5"}, {"input.std", "0.25"}};
const Properties small_fast{{"network", "fast_resnet"}, {"image", "8,8,3"}, {"classes", "4"}, {"width", "0.125"}, {"rescale", "none"},
                            {"input.mean", "0.5,0.4,0.3"}, {"input.std", "0.25,0.2,0.3"}};

Properties with(Properties properties, const std::string& key, const std::string& value) {
  properties[key] = value;
  return properties;
}

/// A network whose gates are open or closed at random.
Network masked_network(const Properties& properties, Weights weights) {
  Network network = make_network(properties, "here", {.seed = 5, .rescale = Rescale::layer}, weights);
  std::uint32_t group = 0;
  for (auto* gate : nn::gates(network)) {
    Bits open(gate->size());
    const Stream stream{3, Purpose::control, group++, 0};
    for (Index i = 0; i < open.size(); ++i) open.set(i, stream.word(static_cast<std::uint64_t>(i)) % 2 == 0);
    gates::set_mask(*gate, open);
  }
  return network;
}

Tensor<float> output(Network& network, const Shape& images) {
  Context context(1);
  Inference<float> pass(context);
  return Tensor<float>::copy_of(network(pass.input(random_tensor<float>(images, 1))).value());
}

}  // namespace

TEST_CASE("networks: a ticket's network computes what the searched one does") {
  for (const auto& [properties, images] : {std::pair{small_lenet, Shape{3, 4, 4, 1}}, {small_fast, Shape{3, 8, 8, 3}},
                                           {with(small_fast, "structure", "units"), Shape{3, 8, 8, 3}},
                                           {with(with(small_lenet, "structure", "units+inputs"), "cost", "weights"), Shape{3, 4, 4, 1}}}) {
    const std::string network_name = properties.at("network");  // clang 14 captures no structured bindings
    CAPTURE(network_name);
    const bool units = properties.contains("structure");
    Network network = masked_network(properties, units ? Weights::frozen : Weights::gated);
    const ticket::Ticket ticket = ticket::make_ticket(network, with(properties, "rescale", "layer"));
    Network again = ticket_network(ticket, "here");
    CHECK(same_bits(output(again, images), output(network, images)));
  }
  const ticket::Ticket ticket = [] {
    Network network = masked_network(small_fast, Weights::gated);
    return ticket::make_ticket(network, small_fast);
  }();
  CHECK(input_statistics(ticket, "here").mean == std::vector{0.5, 0.4, 0.3});
  CHECK(input_statistics(ticket, "here").deviation == std::vector{0.25, 0.2, 0.3});
}

TEST_CASE("networks: effective weights in a dense network compute what the masked one does") {
  Context context(1);
  for (const auto& [properties, structured] : {std::pair{small_lenet, false}, {with(small_lenet, "structure", "units+inputs"), true}}) {
    for (const Weights weights : {structured ? Weights::frozen : Weights::gated, structured ? Weights::trained : Weights::joint}) {
      Network masked = masked_network(properties, weights);
      const nn::NamedWeights effective = effective_weights(context, masked, Rescale::layer);
      Network dense = make_network(small_lenet, "here", {.seed = 9}, Weights::trained);
      nn::for_each_of<Parameter<float>>(dense, [&](auto& weight) { weight.value = Tensor<float>::copy_of(effective.at(weight.name)); });
      const Tensor<float> one = output(dense, {3, 4, 4, 1}), other = output(masked, {3, 4, 4, 1});
      for (Index i = 0; i < one.size(); ++i) CHECK(one[i] == doctest::Approx(other[i]).epsilon(1e-4));  // factors in another order
    }
  }
  // Loaded again as a file of weights, with gates on weights and on units.
  const TemporaryFolder folder;
  const std::string file = folder / "weights.bin";
  const auto check_file = [&](const Properties& properties, const Shape& images) {
    for (const char* structure : {"weights", "units"}) {
      CAPTURE(structure);
      const bool structured = structure == std::string("units");
      Network masked = masked_network(with(properties, "structure", structure), structured ? Weights::trained : Weights::joint);
      nn::save_weights(effective_weights(context, masked, Rescale::layer), file);
      Network frozen = make_network(properties, "here", {.seed = 9}, Weights::frozen);
      load_frozen_weights(frozen, file);
      const Tensor<float> one = output(frozen, images), other = output(masked, images);
      for (Index i = 0; i < one.size(); ++i) CHECK(one[i] == doctest::Approx(other[i]).epsilon(1e-4));
      Network another = make_network(with(properties, "width", "0.5"), "here", {}, Weights::frozen);
      try {
        load_frozen_weights(another, file);
        FAIL_CHECK("weights of other shapes were taken");
      } catch (const std::runtime_error& error) {
        const std::string message = error.what();
        CHECK(message.starts_with(file + ": "));
        CHECK(message.find(": expected weights [") != std::string::npos);
      }
    }
  };
  // Channels that flattened pixels and convolutions read; heads, which stand for several columns each, and hidden neurons.
  check_file({{"network", "conv2"}, {"image", "4,4,3"}, {"classes", "4"}, {"width", "0.0625"}, {"activation", "relu"}}, {3, 4, 4, 3});
  check_file({{"network", "vit_tiny"}, {"image", "8,8,3"}, {"classes", "4"}, {"patch", "4"}, {"depth", "2"}, {"pooling", "mean"}, {"position", "sine"}},
             {3, 8, 8, 3});
  // What is frozen in every mode: positions, the class token, biases of positions within windows.
  check_file({{"network", "vit_tiny"}, {"image", "8,8,3"}, {"classes", "4"}, {"patch", "4"}, {"depth", "1"}, {"pooling", "class_token"}, {"position", "random"}},
             {3, 8, 8, 3});
  check_file({{"network", "swin"}, {"image", "8,8,3"}, {"classes", "4"}, {"patch", "2"}, {"window", "2"}, {"depths", "2,1"}}, {3, 8, 8, 3});
  Network masked = masked_network(with(small_fast, "structure", "units"), Weights::trained);
  const nn::NamedWeights effective = effective_weights(context, masked, Rescale::layer);
  CHECK(effective.at("conv1.weight").shape() == Shape{4, 3, 3, 3});      // torchvision's
  CHECK(effective.at("stage1.conv.units").shape() == Shape{8});          // a skip connection reads these channels
  CHECK(effective.at("stage1.bn.running_var").shape() == Shape{8});
}

TEST_CASE("networks: transformers by their properties") {
  const Properties vit{{"network", "vit_tiny"}, {"image", "8,8,3"}, {"classes", "4"}, {"patch", "4"}, {"pooling", "mean"}, {"position", "sine"}};
  const auto shapes = [](const Properties& properties) {
    std::vector<Shape> all;
    Network network = make_network(properties, "here", {}, Weights::frozen);
    nn::for_each_of<nn::FrozenTensor<float>>(network, [&](auto& weight) { all.push_back(weight.shape()); });
    CHECK(output(network, {2, 8, 8, 3}).shape() == Shape{2, 4});
    return all;
  };
  const auto three = shapes(vit);
  CHECK(three.size() == 1 + 12 * 4 + 1);
  CHECK(three[0] == Shape{192, 4, 4, 3});
  const auto one = shapes(with(with(vit, "width", "0.34"), "depth", "2"));  // one head of 64
  CHECK(one.size() == 1 + 2 * 4 + 1);
  CHECK(one[1] == Shape{192, 64});
  const auto drawn = shapes(with(with(with(vit, "depth", "1"), "pooling", "class_token"), "position", "random"));
  CHECK(drawn.size() == 3 + 4 + 1);
  CHECK(drawn[2] == Shape{1, 5, 192});
  const Properties swin{{"network", "swin"}, {"image", "8,8,3"}, {"classes", "4"}, {"patch", "2"}, {"window", "2"}, {"width", "0.34"}};
  CHECK(shapes(swin)[0] == Shape{32, 2, 2, 3});
  CHECK(shapes(with(swin, "network", "swin_tiny")).size() == 1 + 12 * 5 + 3 + 1);
  const auto stages = shapes(with(with(swin, "depths", "2,1"), "width", "0.67"));  // 2 heads of 32, then 4
  CHECK(stages.size() == 1 + 2 * 5 + 1 + 5 + 1);
  CHECK(stages[0] == Shape{64, 2, 2, 3});
  CHECK(stages.back() == Shape{4, 128});
  const auto make = [](const Properties& properties) { make_network(properties, "file", {}, Weights::gated); };
  CHECK_THROWS_WITH_AS(make(with(vit, "head_gain", "much")), doctest::Contains("file: expected numbers separated by commas as property head_gain, got much"),
                       std::runtime_error);
  CHECK_THROWS_WITH_AS(make(with(vit, "head_gain", "0")), doctest::Contains("expected a scale of 2^-64 to 2^64, got 0"), std::invalid_argument);
  CHECK_THROWS_WITH_AS(make(with(vit, "pooling", "all")), doctest::Contains("file: pooling: expected one of mean, class_token, got all"), std::runtime_error);
  CHECK_THROWS_WITH_AS(make(with(swin, "depths", "1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1")), doctest::Contains("file: expected at most 15 stages as property depths"),
                       std::runtime_error);
  CHECK_THROWS_WITH_AS(make(with(swin, "depths", "2,0")), doctest::Contains("file: expected whole numbers"), std::runtime_error);
  // What would take memory beyond that of the weights.
  CHECK_THROWS_WITH_AS(make(with(with(vit, "image", "4096,4096,3"), "patch", "1")), doctest::Contains("tokens times columns are at most 2^26"),
                       std::runtime_error);
  CHECK_THROWS_WITH_AS(make(with(with(with(swin, "image", "256,256,3"), "patch", "1"), "window", "128")),
                       doctest::Contains("the masks of all blocks are of at most 2^26 numbers"), std::runtime_error);
  Network small = masked_network(with(vit, "depth", "1"), Weights::gated);
  ticket::Ticket ticket = ticket::make_ticket(small, with(with(vit, "depth", "1"), "rescale", "layer"));
  Network again = ticket_network(ticket, "file");
  CHECK(output(again, {1, 8, 8, 3}).shape() == Shape{1, 4});
  ticket.properties["depth"] = "5000000";
  CHECK_THROWS_WITH_AS(ticket_network(ticket, "file"),
                       "file: expected at most as many blocks as there are layers, 6, as property depth, got 5000000", std::runtime_error);
  CHECK_THROWS_WITH_AS(make(with(vit, "patch", "3")), "vit: expected images whose size the patches divide, got 8 and 3", std::invalid_argument);
}

TEST_CASE("networks: a gpt by its properties, and its alphabet") {
  const Properties gpt{{"network", "gpt"}, {"alphabet", "0a2061ff"}, {"length", "6"}, {"columns", "8"}, {"depth", "2"}, {"heads", "2"}, {"rescale", "none"}};
  Network network = masked_network(gpt, Weights::gated);
  Network again = ticket_network(ticket::make_ticket(network, with(gpt, "rescale", "layer")), "here");
  const Tensor<float> logits = output(network, {3, 5, 4});
  CHECK(logits.shape() == Shape{15, 4});
  CHECK(same_bits(output(again, {3, 5, 4}), logits));
  CHECK(evaluation_batch(gpt) == 50);

  CHECK(alphabet_property(std::string("\0\n a\xFF", 5)) == "000a2061ff");
  const auto alphabet = [](const std::string& digits) {
    const Properties properties{{"alphabet", digits}};
    return alphabet_of(PropertyReader(properties, "file"));
  };
  CHECK(alphabet("000a2061ff") == std::string("\0\n a\xFF", 5));
  for (const char* wrong : {"", "0", "0a2", "0a20610", "200a", "0a0a", "0g20", "0x20", "-a20", " a20"}) {
    CAPTURE(wrong);
    CHECK_THROWS_WITH_AS(alphabet(wrong), doctest::Contains("file: expected ascending bytes of two hexadecimal digits each as property alphabet, got"),
                         std::runtime_error);
  }
  CHECK_THROWS_WITH_AS(make_network(with(gpt, "length", "0"), "file", {}, Weights::gated),
                       "file: expected whole numbers from 1 to 2^24 as property length, got 0", std::runtime_error);
  CHECK_THROWS_WITH_AS(make_network(with(gpt, "heads", "3"), "file", {}, Weights::gated),
                       "transformer.h.0.attn: expected heads that divide the width, got 3 heads and 8", std::invalid_argument);
}

TEST_CASE("networks: properties that are missing, unknown or absurd") {
  const auto make = [](const Properties& properties) { make_network(properties, "file", {.left = 1 << 20}, Weights::gated); };
  const auto refuses = [&](const Properties& properties, const char* message) {
    CHECK_THROWS_WITH_AS(make(properties), message, std::runtime_error);
  };
  refuses({}, "file: expected a value as property network, got none");
  refuses(with(small_lenet, "network", "transformer"), "file: expected a network that this program knows as property network, got transformer");
  refuses(with(small_lenet, "image", "4,4"), "file: expected height,width,channels of at most 65536 each as property image, got 4,4");
  refuses(with(small_lenet, "image", "4,4,100000"), "file: expected height,width,channels of at most 65536 each as property image, got 4,4,100000");
  refuses(with(small_lenet, "image", "4,four,1"), "file: expected whole numbers from 1 to 2^24 as property image, got 4,four,1");
  refuses(with(small_lenet, "classes", "0"), "file: expected whole numbers from 1 to 2^24 as property classes, got 0");
  refuses(with(small_lenet, "classes", "3,4"), "file: expected one whole number as property classes, got 3,4");
  refuses(with(small_lenet, "hidden", "5,,5"), "file: expected whole numbers from 1 to 2^24 as property hidden, got 5,,5");
  refuses(with(small_lenet, "structure", "heads"), "file: expected weights, units or units+inputs as property structure, got heads");
  refuses(with(small_fast, "structure", "units+inputs"),
          "file: expected weights or units for this network as property structure, got units+inputs");
  refuses(with(small_fast, "image", "8,16,3"), "file: expected a square image as property image, got 8,16,3");
  refuses(with(small_fast, "width", "wide"), "file: expected numbers separated by commas as property width, got wide");
  refuses(with(small_fast, "width", "1,2"), "file: expected a number as property width, got 1,2");
  const auto absurd = [&](const Properties& properties, const char* message) { CHECK_THROWS_WITH_AS(make(properties), message, std::invalid_argument); };
  absurd(with(small_lenet, "hidden", "16777216,16777216"),
         "init: expected a model whose next weight has at most 1048576 elements, got [16777216, 16]");
  absurd(with(small_lenet, "image", "65536,65536,65536"),
         "init: expected a model whose next weight has at most 1048576 elements, got [6, 281474976710656]");
  absurd(with(small_lenet, "hidden", "2000,2000"), "init: expected a model whose next weight has at most 1016576 elements, got [2000, 2000]");
  absurd(with(small_fast, "width", "1e5"), "init: expected a model whose next weight has at most 1048576 elements, got [3200000, 3, 3, 3]");
  absurd(with(small_fast, "width", "inf"), "fast_resnet: expected a width that leaves 1 to 2^24 channels, got inf");
  absurd(with(small_fast, "width", "nan"), "fast_resnet: expected a width that leaves 1 to 2^24 channels, got nan");
  absurd(with(small_fast, "width", "60"), "init: expected a model whose next weight has at most 996736 elements, got [3840, 3, 3, 1920]");
}

TEST_CASE("networks: a ticket with properties of another network is refused, whatever they ask for") {
  Network network = masked_network(small_lenet, Weights::gated);
  const ticket::Ticket good = ticket::make_ticket(network, small_lenet);
  const auto refused = [&good](const auto& use, const std::string& key, const std::string& value, const std::string& message) {
    CAPTURE(key);
    ticket::Ticket other = good;
    other.properties[key] = value;
    CHECK_THROWS_WITH_AS(use(other, "file"), ("file: " + message).c_str(), std::runtime_error);
  };
  const std::string too_many = "init: expected a model whose next weight has at most ";
  refused(ticket_network, "hidden", "100000,100000", too_many + "141 elements, got [100000, 16]");
  refused(ticket_network, "hidden", "6", "fc2.weight: expected weights [5, 6], got [3, 6]");
  refused(ticket_network, "classes", "4", too_many + "15 elements, got [4, 5]");
  refused(ticket_network, "image", "60000,60000,3", too_many + "141 elements, got [6, 10800000000]");
  refused(ticket_network, "network", "conv6", "conv_n: expected images whose size 3 halvings divide, got 4");
  refused(ticket_network, "rescale", "often", "rescale: expected one of none, layer, neuron, got often");
  refused(ticket_network, "scale", "2", "fc1.weight: expected signed_constant 0.353553385 of seed 5, stream 0, got signed_constant 2 of seed 5, stream 0");
  refused(ticket_network, "structure", "units", "ticket: expected a mask for the gates units1, got none");
  for (const char* mean : {"nan", "inf", "0.5,0.5"}) {
    refused(input_statistics, "input.mean", mean, concat("expected a finite number for each channel as property input.mean, got ", mean));
  }
  for (const char* deviation : {"0", "-1", "inf", "nan", "0.5,0.5"}) {
    refused(input_statistics, "input.std", deviation, concat("expected a finite number above 0 for each channel as property input.std, got ", deviation));
  }
  // Moments that no batch has: not a number, or a variance below 0.
  Network normalised = masked_network(small_fast, Weights::gated);
  const ticket::Ticket with_moments = ticket::make_ticket(normalised, small_fast);
  for (const auto& [word, value] : {std::pair<std::uint16_t, const char*>{0x7FC0, "nan"}, {0x7F80, "inf"}, {0xBF80, "-1"}}) {
    const std::uint16_t bits = word;
    const std::string message = concat("file: stage1.bn.running_var: expected finite moments, variances of at least 0, got ", value);
    ticket::Ticket other = with_moments;
    for (auto& statistics : other.statistics) {
      if (statistics.name == "stage1.bn.running_var") statistics.values[1] = bits;
    }
    CHECK_THROWS_WITH_AS(ticket_network(other, "file"), message.c_str(), std::runtime_error);
  }
}
