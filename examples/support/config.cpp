#include "support/config.hpp"

#include <stdexcept>

namespace examples {

void Config::check() const {
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

tombola::nn::Init Config::make_init() const {
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

Properties Config::properties() const {
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

Weights Config::weight_source() const {
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

nlohmann::ordered_json Config::to_json() const {
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

}  // namespace examples
