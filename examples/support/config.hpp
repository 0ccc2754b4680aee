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
  void check() const;
  tombola::nn::Init make_init() const;
  /// What the network of this configuration is, but for what the data say.
  Properties properties() const;
  bool is_vit() const { return network.starts_with("vit"); }
  bool is_swin() const { return network.starts_with("swin"); }
  bool has_stem() const { return network.find("resnet") != std::string::npos && network != "fast_resnet"; }
  bool is_gpt() const { return network == "gpt"; }
  bool is_transformer() const { return is_vit() || is_swin() || is_gpt(); }
  bool has_activation() const { return network.find("resnet") == std::string::npos && !is_transformer(); }
  Index patch_or_default() const { return patch > 0 ? patch : network == "swin" ? 2 : 4; }
  Weights weight_source() const;

  /// What determines the result: everything but paths, threads, and how often to save.
  nlohmann::ordered_json to_json() const;
};

}  // namespace examples
