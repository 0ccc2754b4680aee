#include "support/networks.hpp"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <numeric>
#include <set>
#include <utility>

namespace examples {

namespace {

/// The parts of a text between commas.
std::vector<std::string> split_at_commas(const std::string& text) {
  std::vector<std::string> parts;
  std::size_t first = 0;
  for (std::size_t comma; (comma = text.find(',', first)) != std::string::npos; first = comma + 1) parts.push_back(text.substr(first, comma - first));
  parts.push_back(text.substr(first));
  return parts;
}

/// text(value) of each, with commas between them.
template <class T, class Text>
std::string joined(const std::vector<T>& values, const Text& text) {
  std::string all;
  for (const T& value : values) all += (all.empty() ? "" : ",") + text(value);
  return all;
}

template <class T>
bool read_all(const std::string& text, T& value) {
  const auto [end, failure] = std::from_chars(text.data(), text.data() + text.size(), value);
  return failure == std::errc{} && end == text.data() + text.size();
}

struct Image {
  Index height, width, channels;
};

Image image_of(const PropertyReader& properties) {
  const std::vector<Index> extents = properties.counts("image");
  if (extents.size() != 3 || std::max({extents[0], extents[1], extents[2]}) > 1 << 16) {
    properties.refuse("image", "height,width,channels of at most 65536 each");
  }
  return {extents[0], extents[1], extents[2]};
}

/// The side of the images of networks that take square ones.
Index square_side(const PropertyReader& properties) {
  const Image image = image_of(properties);
  if (image.height != image.width) properties.refuse("image", "a square image");
  return image.height;
}

nn::Activation activation_of(const PropertyReader& properties) {
  return {properties.choice<nn::ActivationKind>("activation", nn::activation_names)};
}

template <template <class> class Source>
Network make_lenet(const PropertyReader& properties, const nn::Init& init, bool unit_gates, bool input_gates) {
  const Image image = image_of(properties);
  return Network(models::LeNet<Source>(init, {.inputs = image.height * image.width * image.channels,
                                              .hidden = properties.counts("hidden"),
                                              .outputs = properties.count("classes"),
                                              .activation = activation_of(properties),
                                              .head_gain = properties.factor("head_gain"),
                                              .unit_gates = unit_gates,
                                              .input_gates = input_gates,
                                              .cost_in_weights = properties.has("cost")}));
}

/// The width multiplies the heads, whose size stays.
void widen(models::VitOptions& options, double width) {
  const Index size = options.columns / options.heads;
  options.heads = models::scaled_channels("vit", options.heads, width);
  options.columns = options.heads * size;
}
/// Heads double from stage to stage, as columns do.
void widen(models::SwinOptions& options, double width) {
  const Index size = options.columns / options.heads[0];
  Index heads = models::scaled_channels("swin", options.heads[0], width);
  options.columns = heads * size;
  options.heads.resize(options.depths.size());
  for (Index& of_stage : options.heads) of_stage = std::exchange(heads, 2 * heads);
}

/// Throws unless what a vision transformer computes from its options alone, positions or masks of windows, is of at most 2^26 numbers.
void check_tables(const PropertyReader& properties, const models::VitOptions& options) {
  const Index side = options.size / options.patch;
  if (side * side * options.columns > 1 << 26) properties.refuse("patch", "patches so large that tokens times columns are at most 2^26");
}
void check_tables(const PropertyReader& properties, const models::SwinOptions& options) {
  const Index side = options.size / options.patch, window = std::min(options.window, side);
  const double tokens = static_cast<double>(window) * static_cast<double>(divide_up(side, std::max<Index>(window, 1)));
  const auto blocks = static_cast<double>(std::accumulate(options.depths.begin(), options.depths.end(), Index{0}));
  if (blocks * std::pow(tokens * static_cast<double>(window), 2) > 1 << 26) {
    properties.refuse("window", "windows so small that the masks of all blocks are of at most 2^26 numbers");
  }
}

/// Fills in the scales of a transformer's blocks.
template <class Options>
void scale_blocks(const PropertyReader& properties, Options& options) {
  options.attention_scale = properties.factor("attention_scale");
  options.branch_gain = properties.factor("branch_gain");
}

/// Fills in what the options of a network for images with channels have of: size, channels, classes, width, activation, stem, patch and so on.
template <class Options>
Options complete(const PropertyReader& properties, bool unit_gates, Options options) {
  const double width = properties.factor("width");
  options.channels = image_of(properties).channels;
  options.outputs = properties.count("classes");
  options.unit_gates = unit_gates;
  options.head_gain = properties.factor("head_gain");
  if constexpr (requires { options.depths; }) {
    if (properties.has("depths")) options.depths = properties.counts("depths");
    if (options.depths.size() > 15) properties.refuse("depths", "at most 15 stages");
  }
  if constexpr (requires { options.width; }) options.width = width;
  if constexpr (requires { widen(options, width); }) widen(options, width);
  if constexpr (requires { options.size; }) options.size = square_side(properties);
  if constexpr (requires { options.activation; }) options.activation = activation_of(properties);
  if constexpr (std::is_same_v<Options, models::ResNetOptions>) options.stem = properties.choice<models::Stem>("stem", stem_names);
  if constexpr (requires { options.patch; }) options.patch = properties.count("patch");
  if constexpr (requires { options.stem.size(); }) {
    if (properties.has("conv_stem")) options.stem = properties.counts("conv_stem");
  }
  if constexpr (requires { options.branch_gain; }) scale_blocks(properties, options);
  if constexpr (requires { options.window; }) options.window = properties.count("window");
  if constexpr (requires { options.pooling; }) {
    options.pooling = properties.choice<models::Pooling>("pooling", pooling_names);
    options.position = properties.choice<nn::Position>("position", position_names);
    if (properties.has("depth")) options.depth = properties.count("depth");
  }
  if constexpr (requires { check_tables(properties, options); }) check_tables(properties, options);
  return options;
}

template <template <class> class Source>
Network make(const PropertyReader& properties, const nn::Init& init) {
  const std::string& name = properties.text("network");
  const std::string structure = properties.has("structure") ? properties.text("structure") : "weights";
  const bool input_gates = structure == "units+inputs", unit_gates = input_gates || structure == "units";
  if (!unit_gates && structure != "weights") properties.refuse("structure", "weights, units or units+inputs");
  if (name == "lenet") return make_lenet<Source>(properties, init, unit_gates, input_gates);
  if (input_gates) properties.refuse("structure", "weights or units for this network");
  if (name == "gpt") {
    const Index length = properties.count("length"), columns = properties.count("columns");
    if (length > 1 << 16 || length * columns > 1 << 26) properties.refuse("length", "at most 2^16, and 2^26 with the columns");
    models::GptOptions options{.vocabulary = static_cast<Index>(alphabet_of(properties).size()),
                               .length = length,
                               .columns = columns,
                               .depth = properties.count("depth"),
                               .heads = properties.count("heads"),
                               .head_gain = properties.factor("head_gain"),
                               .unit_gates = unit_gates};
    scale_blocks(properties, options);
    return Network(models::Gpt<Source>(init, options));
  }
  const auto completed = [&](auto options) { return complete(properties, unit_gates, options); };
  for (const int depth : {2, 4, 6, 8}) {
    if (name == concat("conv", depth)) return Network(models::ConvN<Source>(init, completed(models::ConvNOptions{.depth = depth})));
  }
  if (name == "shallow_cnn") return Network(models::ShallowCnn<Source>(init, completed(models::ShallowCnnOptions{})));
  if (name == "fast_resnet") return Network(models::FastResNet<Source>(init, completed(models::FastResNetOptions{})));
  for (const auto& [resnet, options] : {std::pair{"resnet18", models::resnet18()}, {"resnet34", models::resnet34()},
                                        {"resnet50", models::resnet50()}, {"wide_resnet50_2", models::wide_resnet50_2()}}) {
    if (name == resnet) return Network(models::ResNet<Source>(init, completed(options)));
  }
  for (const auto& [vit, options] : {std::pair{"vit_tiny", models::vit_tiny()}, {"vit_small", models::vit_small()}, {"vit_base", models::vit_base()}}) {
    if (name == vit) return Network(models::Vit<Source>(init, completed(options)));
  }
  for (const auto& [swin, options] : {std::pair{"swin", models::swin_small_images()}, {"swin_tiny", models::swin_tiny()}}) {
    if (name == swin) return Network(models::Swin<Source>(init, completed(options)));
  }
  properties.refuse("network", "a network that this program knows");
}

}  // namespace

std::string exact(double value) {
  char text[32];
  return {text, std::to_chars(text, text + sizeof text, value).ptr};
}

std::string exact(const std::vector<double>& values) {
  return joined(values, [](double value) { return exact(value); });
}
std::string exact(const std::vector<Index>& values) {
  return joined(values, [](Index value) { return std::to_string(value); });
}

void PropertyReader::refuse(const std::string& key, const std::string& expected) const {
  throw std::runtime_error(concat(where_, ": expected ", expected, " as property ", key, ", got ", has(key) ? properties_.at(key) : "none"));
}

const std::string& PropertyReader::text(const std::string& key) const {
  if (!has(key)) refuse(key, "a value");
  return properties_.at(key);
}

std::vector<double> PropertyReader::numbers(const std::string& key) const {
  std::vector<double> values;
  for (const std::string& part : split_at_commas(text(key))) {
    if (!read_all(part, values.emplace_back())) refuse(key, "numbers separated by commas");
  }
  return values;
}

double PropertyReader::number(const std::string& key) const {
  const std::vector<double> values = numbers(key);
  if (values.size() != 1) refuse(key, "a number");
  return values[0];
}

double PropertyReader::factor(const std::string& key) const { return has(key) ? number(key) : 1; }

std::vector<Index> PropertyReader::counts(const std::string& key) const {
  std::vector<Index> values;
  for (const std::string& part : split_at_commas(text(key))) {
    if (!read_all(part, values.emplace_back()) || values.back() < 1 || values.back() > 1 << 24) refuse(key, "whole numbers from 1 to 2^24");
  }
  return values;
}

Index PropertyReader::count(const std::string& key) const {
  const std::vector<Index> values = counts(key);
  if (values.size() != 1) refuse(key, "one whole number");
  return values[0];
}

Network make_network(const Properties& properties, const std::string& where, const nn::Init& init, Weights weights) {
  const PropertyReader reader(properties, where);
  switch (weights) {
  case Weights::frozen:
    return make<nn::Frozen>(reader, init);
  case Weights::gated:
    return make<nn::Gated>(reader, init);
  case Weights::trained:
    return make<nn::Trained>(reader, init);
  case Weights::joint:
    return make<nn::Joint>(reader, init);
  }
  throw std::logic_error("make_network: an unknown kind of weights");
}

Network ticket_network(const ticket::Ticket& ticket, const std::string& path) {
  const PropertyReader properties(ticket.properties, path);
  nn::Init init;
  init.seed = ticket.seed;
  init.weights = ticket.layers.front().weights.init;
  init.rescale = properties.choice<Rescale>("rescale", rescale_names);
  init.left = 0;
  for (const auto& layer : ticket.layers) init.left += layer.shape.size();
  if (properties.has("scale")) init.scale = static_cast<float>(properties.number("scale"));
  for (const char* blocks : {"depth", "depths"}) {  // before memory is taken for them
    const std::vector<Index> counts = properties.has(blocks) ? properties.counts(blocks) : std::vector<Index>{};
    if (std::accumulate(counts.begin(), counts.end(), Index{0}) > static_cast<Index>(ticket.layers.size())) {
      properties.refuse(blocks, concat("at most as many blocks as there are layers, ", ticket.layers.size(), ","));
    }
  }
  try {
    Network network = make_network(ticket.properties, path, init, ticket.units.empty() ? Weights::gated : Weights::frozen);
    ticket::apply_ticket(ticket, network);
    return network;
  } catch (const std::invalid_argument& mismatch) {
    throw std::runtime_error(path + ": " + mismatch.what());
  }
}

data::Statistics input_statistics(const ticket::Ticket& ticket, const std::string& path) {
  const PropertyReader properties(ticket.properties, path);
  const data::Statistics statistics{properties.numbers("input.mean"), properties.numbers("input.std")};
  const std::vector<Index> image = properties.counts("image");
  const auto serves = [&image](const std::vector<double>& values) {
    return (values.size() == 1 || static_cast<Index>(values.size()) == image.back()) &&
           std::all_of(values.begin(), values.end(), [](double value) { return std::isfinite(value); });
  };
  if (!serves(statistics.mean)) properties.refuse("input.mean", "a finite number for each channel");
  if (!serves(statistics.deviation) || *std::min_element(statistics.deviation.begin(), statistics.deviation.end()) <= 0) {
    properties.refuse("input.std", "a finite number above 0 for each channel");
  }
  return statistics;
}

std::string alphabet_property(const std::string& bytes) {
  constexpr const char* digits = "0123456789abcdef";
  std::string text;
  for (const char c : bytes) {
    text.push_back(digits[static_cast<unsigned char>(c) >> 4]);
    text.push_back(digits[static_cast<unsigned char>(c) & 15]);
  }
  return text;
}

std::string alphabet_of(const PropertyReader& properties) {
  const std::string& text = properties.text("alphabet");
  std::string bytes;
  for (std::size_t i = 0; i + 1 < text.size(); i += 2) {
    unsigned byte = 0;
    const char *first = text.data() + i, *last = first + 2;
    const auto [end, failure] = std::from_chars(first, last, byte, 16);
    const bool ascends = bytes.empty() || byte > static_cast<unsigned char>(bytes.back());
    if (failure != std::errc{} || end != last || !ascends) break;
    bytes.push_back(static_cast<char>(byte));
  }
  if (bytes.empty() || 2 * bytes.size() != text.size()) properties.refuse("alphabet", "ascending bytes of two hexadecimal digits each");
  return bytes;
}

Index evaluation_batch(const Properties& properties) {
  const std::string& network = properties.at("network");
  return network == "lenet" ? 1000 : network == "gpt" ? 50 : 200;
}

void load_frozen_weights(Network& network, const std::string& path) {
  const nn::NamedWeights weights = nn::load_weights(path);
  try {
    nn::set_weights(network, weights);
  } catch (const std::invalid_argument& error) {
    throw std::runtime_error(concat(path, ": ", error.what()));
  }
}

nn::NamedWeights effective_weights(Context& context, Network& network, Rescale rescale) {
  Inference<float> pass(context, {.gates = Reading::binary});
  std::map<std::string, View<const float>> weights;
  std::map<std::string, GateParameter<float>*> gates;
  nn::for_each_of<nn::FrozenTensor<float>>(network, [&](auto& weight) { weights.emplace(weight.name(), weight.value()); });
  nn::for_each_of<Parameter<float>>(network, [&](auto& weight) { weights.emplace(weight.name, weight.value); });
  nn::for_each_of<GateParameter<float>>(network, [&](auto& gate) { gates.emplace(gate.name, &gate); });

  // Gates on channels multiply what reads these channels, unless a skip connection does.
  const std::vector<nn::Connection> connections = network.connections();
  std::set<Index> skipped;
  for (const auto& connection : connections) {
    if (connection.name.empty()) skipped.insert(connection.from);
  }
  nn::NamedWeights named;
  const auto add = [&named](const std::string& name, View<const float> values) { named.emplace(name, nn::to_torchvision(values)); };
  std::map<Index, std::vector<float>> of_channels;
  for (const auto& connection : connections) {
    if (connection.name.empty() || weights.contains(connection.name)) continue;
    const auto [z, s] = gated_weight(pass, *gates.at(connection.name), rescale == Rescale::none ? Rescale::none : Rescale::layer);
    Tensor<float> factors = Tensor<float>::copy_of(z.value());
    for (float& factor : factors) factor *= s ? s.value()[0] : 1.0f;
    if (skipped.contains(connection.to)) {
      named.emplace(connection.name, std::move(factors));
    } else {
      for (const float factor : factors) of_channels[connection.to].insert(of_channels[connection.to].end(), connection.repeat, factor);
    }
  }
  for (const auto& connection : connections) {
    if (connection.name.empty() || !weights.contains(connection.name)) continue;
    const View<const float> weight = weights.at(connection.name);
    Tensor<float> product = Tensor<float>::copy_of(weight);
    const Index rows = weight.shape()[0], in = weight.shape().last(), filter = product.size() / rows;
    if (const auto gate = gates.find(connection.name); gate != gates.end()) {
      const auto [z, s] = gated_weight(pass, *gate->second, rescale);  // times the weight, if the gates have it
      for (Index i = 0; i < product.size(); ++i) {
        const float factor = s ? s.value()[s.shape().size() == 1 ? 0 : i / filter] : 1.0f;
        product[i] = (gate->second->weight.size() != 0 ? z.value()[i] : z.value()[i] * product[i]) * factor;
      }
    }
    if (const auto factors = of_channels.find(connection.from); factors != of_channels.end()) {
      for (Index i = 0; i < product.size(); ++i) product[i] *= factors->second[static_cast<std::size_t>(i % in / connection.repeat)];
    }
    add(connection.name, product);
  }
  nn::for_each_of<nn::FrozenTensor<float>>(network, [&](auto& weight) {  // what no connection names: positions, tokens, biases of positions
    if (!named.contains(weight.name())) add(weight.name(), weight.value());
  });
  nn::for_each_moment<float>(network, [&](const std::string& name, Tensor<float>& values) { named.emplace(name, values.clone()); });
  return named;
}

}  // namespace examples
