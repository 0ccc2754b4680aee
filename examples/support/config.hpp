/// \file
/// What a search is asked to do: every option, what they are where nothing is said, and how they go into summaries and checkpoints.
#pragma once

#include <nlohmann/json.hpp>

#include <algorithm>
#include <optional>
#include <string>
#include <vector>

#include "support/networks.hpp"

namespace examples {

using tombola::Index;

/// What is learned: a ticket (gates over weights as drawn), gates over loaded weights, gates and weights, or weights alone.
enum class Mode : std::uint8_t { frozen_random, frozen_trained, joint, dense };
inline constexpr std::array<std::string_view, 4> mode_names{"frozen-random", "frozen-trained", "joint", "dense"};
inline constexpr std::array<std::string_view, 3> sigma_mode_names{"fixed", "layer", "gate"};
inline constexpr std::array<std::string_view, 3> flip_names{"none", "random", "alternating"};

/// Every option of a search. The defaults find a ticket of about 98% at 96% in LeNet-300-100 on MNIST; those of other networks are in their programs.
struct Config {
  std::string network = "lenet", data_set = "mnist";
  std::string data, out = "runs/lenet_mnist", weights;
  int epochs = 40;
  std::uint64_t seed = 1;
  int replicates = 1;
  std::string mode = "frozen-random";
  Index batch = 128, shift = 0, cutout = 0;
  bool reflect = false;
  std::string flip = "none", stem = "cifar";
  double width = 1;
  Index patch = 0, depth = 0, window = 4;  // 0: the network's own
  std::string pooling = "mean", position = "sine";
  std::vector<Index> conv_stem, depths;  // empty: none, and the network's own
  double attention_scale = 1, branch_gain = 1;
  std::optional<double> head_gain;  // empty: what the network learns best with
  Index length = 128, columns = 128, heads = 4;
  Index validation = 5000, validate_every = 1, moments = 5000;
  std::vector<Index> hidden{300, 100};
  std::string activation = "relu", init = "signed_constant", rescale = "layer";
  double scale = 0;
  std::string gates = "gaussian", penalty = "sparse", structure = "weights";
  double lambda = 2.5, ramp = 0, target_sparsity = 0;
  std::string sigma_mode = "fixed";
  bool sigma_penalty = false, cost_in_weights = false;
  double reach = 0, sharpness_end = 1;
  std::optional<double> sigma, sigma_end, start, low, high;  // empty: not given; what they are then, or may be, depends on the kind of gates
  double usual_sigma = 0.5, usual_sigma_end = 0;             // of Gaussian gates, where none is given
  bool bounds = true;
  double rate = 0.05, warmup = 0, clip = 0, smoothing = 0, weight_rate = 0.05, weight_decay = 5e-4;
  int threads = tombola::available_threads();
  int checkpoint_every = 5;
  bool resume = false, quiet = false;

  /// Makes the defaults those of networks deeper than LeNet: noise that falls, draws that end at 0 or 1, gradients beyond the clamp, larger steps.
  void use_falling_noise() {
    usual_sigma = 0.2;
    usual_sigma_end = 0.05;
    reach = 1;
    sharpness_end = 50;
    rate = 0.1;
  }

  Mode mode_value() const { return tombola::parse_name<Mode>("--mode", mode_names, mode); }
  bool structured() const { return structure != "weights"; }
  tombola::GateKind gate_kind() const { return tombola::parse_name<tombola::GateKind>("--gates", tombola::gate_kind_names, gates); }
  bool has_fixed_noise() const { return gate_kind() == tombola::GateKind::gaussian && sigma_mode == "fixed"; }
  double sigma_or_default() const { return sigma.value_or(usual_sigma); }
  double sigma_end_or_default() const { return sigma_end.value_or(has_fixed_noise() ? std::min(usual_sigma_end, sigma_or_default()) : 0); }
  double head_gain_or_default() const { return head_gain.value_or(network == "lenet" || is_transformer() ? 1 : 0.1); }
  double start_or_default() const {
    return tombola::gates::GateOptions{.kind = gate_kind(), .start = start, .bounds = range()}.start_or_default();
  }
  tombola::gates::Bounds range() const {
    const auto usual = tombola::gates::GateOptions{.kind = gate_kind()}.bounds_or_default();
    return {low.value_or(usual.low), high.value_or(usual.high)};
  }
  /// Throws `std::runtime_error` for options that do not go together.
  void check() const {
    if (mode_value() == Mode::frozen_trained && weights.empty()) {
      throw std::runtime_error("--weights: expected the weights.bin of another run for --mode frozen-trained, got nothing");
    }
    if (mode_value() != Mode::frozen_trained && !weights.empty()) {
      throw std::runtime_error("--weights: expected --mode frozen-trained, whose weights it names, got " + mode);
    }
    if (mode_value() == Mode::dense && structured()) {
      throw std::runtime_error("--structure: expected weights for --mode dense, which has no gates, got " + structure);
    }
    if (network != "lenet" && structure == "units+inputs") {
      throw std::runtime_error(tombola::concat("--structure: expected weights or units for ", network, ", got ", structure));
    }
    if (cost_in_weights && (network != "lenet" || !structured())) {
      throw std::runtime_error("--cost-in-weights: expected gates on the neurons of a fully connected network (--structure units), got " + structure +
                               " of " + network);
    }
    if (sigma && gate_kind() != tombola::GateKind::gaussian) {
      throw std::runtime_error("--sigma: expected --gates gaussian, whose noise it is the width of, got " + gates);
    }
    if (sigma_mode != "fixed" && gate_kind() != tombola::GateKind::gaussian) {
      throw std::runtime_error("--sigma-mode: expected fixed, or --gates gaussian, whose noise is learned, got " + sigma_mode + " and " + gates);
    }
    if (sigma_penalty && sigma_mode == "fixed") {
      throw std::runtime_error("--sigma-penalty: expected a --sigma-mode in which sigma is learned, got fixed");
    }
    if (!bounds && (low || high)) {
      throw std::runtime_error("--no-bounds: expected no --low and no --high beside it");
    }
    if (target_sparsity > 0 && penalty != "sparse") {
      throw std::runtime_error("--target-sparsity: expected --penalty sparse, of which a larger lambda closes more gates, got " + penalty);
    }
    if (target_sparsity > 0 && mode_value() == Mode::dense) {
      throw std::runtime_error("--target-sparsity: expected a --mode with gates to close, got dense");
    }
    if (target_sparsity > 0 && ramp > 0) {
      throw std::runtime_error("--ramp: expected none beside --target-sparsity, whose controller chooses lambda");
    }
    if (sigma_end_or_default() > 0 && !has_fixed_noise()) {
      throw std::runtime_error(tombola::concat("--sigma-end: expected --gates gaussian with --sigma-mode fixed, got ", gates, " and ", sigma_mode));
    }
  }

  tombola::nn::Init make_init() const {
    using namespace tombola;
    nn::Init made;
    made.seed = seed;
    made.weights = parse_name<WeightInit>("--init", weight_init_names, init);
    if (scale > 0) made.scale = static_cast<float>(scale);
    made.gates.kind = gate_kind();
    made.gates.sigma = sigma_or_default();
    made.gates.sigma_mode = parse_name<SigmaMode>("--sigma-mode", sigma_mode_names, sigma_mode);
    made.gates.sigma_through_penalty = sigma_penalty;
    made.gates.start = start_or_default();
    made.gates.reach = reach;
    made.gates.bounds = bounds ? range() : gates::Bounds::none();
    made.rescale = parse_name<Rescale>("--rescale", rescale_names, rescale);
    return made;
  }
  /// What the network of this configuration is, but for what the data say.
  Properties properties() const {
    Properties made{{"network", network}, {"rescale", rescale}};
    if (scale > 0) made["scale"] = exact(scale);
    if (head_gain_or_default() != 1) made["head_gain"] = exact(head_gain_or_default());
    if (structured()) made["structure"] = structure;
    if (structured() && cost_in_weights) made["cost"] = "weights";
    if (network == "lenet") {
      made["hidden"] = exact(hidden);
    } else if (width != 1) {
      made["width"] = exact(width);
    }
    if (has_stem()) made["stem"] = stem;
    if (has_activation()) made["activation"] = activation;
    if (is_vit() || is_swin()) {
      made["patch"] = std::to_string(patch_or_default());
      if (!conv_stem.empty()) made["conv_stem"] = exact(conv_stem);
    }
    if (is_swin()) {
      made["window"] = std::to_string(window);
      if (!depths.empty()) made["depths"] = exact(depths);
    }
    if (is_transformer()) {
      if (attention_scale != 1) made["attention_scale"] = exact(attention_scale);
      if (branch_gain != 1) made["branch_gain"] = exact(branch_gain);
    }
    if (is_vit()) {
      made["pooling"] = pooling;
      made["position"] = position;
      if (depth > 0) made["depth"] = std::to_string(depth);
    }
    if (is_gpt()) {
      for (const auto& [name, value] : {std::pair{"length", length}, {"columns", columns}, {"depth", depth}, {"heads", heads}}) {
        made[name] = std::to_string(value);
      }
    }
    return made;
  }
  bool is_vit() const { return network.starts_with("vit"); }
  bool is_swin() const { return network.starts_with("swin"); }
  bool has_stem() const { return network.find("resnet") != std::string::npos && network != "fast_resnet"; }
  bool is_gpt() const { return network == "gpt"; }
  bool is_transformer() const { return is_vit() || is_swin() || is_gpt(); }
  bool has_activation() const { return network.find("resnet") == std::string::npos && !is_transformer(); }
  Index patch_or_default() const { return patch > 0 ? patch : network == "swin" ? 2 : 4; }
  Weights weight_source() const {
    switch (mode_value()) {
    case Mode::frozen_random:
    case Mode::frozen_trained:
      return structured() ? Weights::frozen : Weights::gated;
    case Mode::joint:
      return structured() ? Weights::trained : Weights::joint;
    case Mode::dense:
      return Weights::trained;
    }
    throw std::logic_error("config: an unknown mode");
  }

  /// What determines the result: everything but paths, threads, and how often to save.
  nlohmann::ordered_json to_json() const {
    nlohmann::ordered_json json{{"network", network},
                                {"mode", mode},
                                {"epochs", epochs},
                                {"batch", batch}};
    if (is_gpt()) {
      json["validate_every"] = validate_every;
    } else {
      json.update({{"shift", shift},
                   {"reflect", reflect},
                   {"flip", flip},
                   {"cutout", cutout},
                   {"validation", validation},
                   {"validate_every", validate_every},
                   {"moments", moments}});
    }
    json.update({{"init", init},
                 {"scale", scale},
                 {"head_gain", head_gain_or_default()},
                 {"rescale", rescale},
                 {"gates", gates},
                 {"structure", structure},
                 {"cost_in_weights", cost_in_weights},
                 {"penalty", penalty},
                 {"lambda_mean", lambda},
                 {"ramp", ramp},
                 {"target_sparsity", target_sparsity},
                 {"sigma", sigma_or_default()},
                 {"sigma_end", sigma_end_or_default()},
                 {"sigma_mode", sigma_mode},
                 {"sigma_penalty", sigma_penalty},
                 {"reach", reach},
                 {"sharpness_end", sharpness_end},
                 {"start", start_or_default()},
                 {"bounds", bounds},
                 {"low", range().low},
                 {"high", range().high},
                 {"rate", rate},
                 {"warmup", warmup},
                 {"clip", clip},
                 {"smoothing", smoothing},
                 {"weight_rate", weight_rate},
                 {"weight_decay", weight_decay}});
    if (is_transformer()) json.update({{"attention_scale", attention_scale}, {"branch_gain", branch_gain}});
    if (is_gpt()) {
      json.update({{"length", length}, {"columns", columns}, {"depth", depth}, {"heads", heads}});
      return json;
    }
    if (network == "lenet") {
      json["hidden"] = hidden;
    } else {
      json["width"] = width;
    }
    if (has_stem()) json["stem"] = stem;
    if (has_activation()) json["activation"] = activation;
    if (is_vit() || is_swin()) json.update({{"patch", patch_or_default()}, {"conv_stem", conv_stem}});
    if (is_swin()) json.update({{"window", window}, {"depths", depths}});
    if (is_vit()) json.update({{"depth", depth}, {"pooling", pooling}, {"position", position}});
    return json;
  }
};

}  // namespace examples
