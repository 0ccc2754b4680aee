/// \file
/// Two tables on MNIST: the penalties induce-sparse and induce-decision against each other, and activations and kinds of gates.
#include <cstdio>
#include <iomanip>

#include "support/experiment.hpp"
#include "support/image_task.hpp"
#include "support/run_folder.hpp"

namespace {

using examples::Config, examples::Variation;

/// Every penalty at three values of lambda around the given one.
std::vector<Variation> penalties(const Config& base) {
  std::vector<Variation> variations;
  for (const char* penalty : {"sparse", "undecided", "variance", "entropy"}) {
    for (const double factor : {1.0 / 3, 1.0, 3.0}) {
      Config config = base;
      config.penalty = penalty;
      config.lambda = base.lambda * factor;
      const double shown = std::stod(tombola::concat(std::setprecision(3), config.lambda));
      variations.push_back({tombola::concat("penalty-", penalty, "-", shown), tombola::concat(penalty, ", lambda ", shown), config});
    }
  }
  return variations;
}

/// The activations with Gaussian gates, then each with hard-concrete gates.
std::vector<Variation> activations(const Config& base) {
  std::vector<Variation> variations;
  for (const char* gates : {"gaussian", "hard-concrete"}) {
    for (const char* activation : {"relu", "leaky_relu", "prelu", "elu"}) {
      Config config = base;
      config.gates = gates;
      if (config.gate_kind() == tombola::GateKind::hard_concrete) {  // what the options say of the noise and mu of Gaussian gates is not for these
        const Config defaults;
        config.sigma_mode = defaults.sigma_mode;
        config.sigma_penalty = defaults.sigma_penalty;
        config.sigma = config.sigma_end = config.start = config.low = config.high = std::nullopt;
      }
      config.activation = activation;
      variations.push_back({tombola::concat("activation-", activation, "-", gates), tombola::concat(activation, ", ", gates), config});
    }
  }
  return variations;
}

bool run(const Config& config) {
  if (config.target_sparsity > 0) throw std::runtime_error("--target-sparsity: expected none, since the rows of these tables differ in lambda");
  const examples::ImageTask task(config);
  examples::remove_result(config.out + "/tables.md");
  const auto first = examples::run_experiment(config.out, penalties(config), task);
  if (!first) return false;
  const auto second = examples::run_experiment(config.out, activations(config), task);
  if (!second) return false;
  const std::string tables = "## Penalties\n\n" + examples::markdown_table(*first, "penalty") + "\n## Activations and kinds of gates\n\n" +
                             examples::markdown_table(*second, "activation, gates");
  tombola::write_file(config.out + "/tables.md", tables);
  std::fputs(tables.c_str(), stdout);
  return true;
}

}  // namespace

int main(int argc, char** argv) {
  Config config;
  config.out = "runs/gate_tables";
  return examples::experiment_main(argc, argv, "gate_tables",
                                   "Compares, on MNIST: the four penalties at a third, once and three times --lambda; then the activations with "
                                   "Gaussian and with hard-concrete gates. Every other option holds for all searches (those of Gaussian noise, and of start and bounds, not for "
                                   "hard-concrete gates). Writes tables.md into --out.",
                                   config, run);
}
