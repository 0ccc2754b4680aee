/// \file
/// How large a base network a ticket needs: searches in LeNets of 100% down to 1% of the weights of LeNet-300-100.
#include <cmath>
#include <cstdio>

#include "support/experiment.hpp"
#include "support/figures.hpp"
#include "support/image_task.hpp"
#include "support/run_folder.hpp"

namespace {

using examples::Config, examples::Variation, tombola::Index;

/// What the layers lie between.
struct Ends {
  Index inputs, outputs;
};

double weights(const Ends& ends, const std::vector<Index>& hidden) {
  double count = 0, from = static_cast<double>(ends.inputs);
  for (const Index width : hidden) {
    count += from * static_cast<double>(width);
    from = static_cast<double>(width);
  }
  return count + from * static_cast<double>(ends.outputs);
}

/// The hidden layers scaled by one factor, so that the network has about this share of the weights.
std::vector<Index> scaled(const Ends& ends, const std::vector<Index>& hidden, double share) {
  const auto by = [&hidden](double factor) {
    std::vector<Index> widths;
    for (const Index width : hidden) {
      widths.push_back(std::max<Index>(1, std::llround(factor * static_cast<double>(width))));
    }
    return widths;
  };
  double low = 0, high = 1;
  while (high - low > 1e-6) {
    const double middle = (low + high) / 2;
    (weights(ends, by(middle)) < share * weights(ends, hidden) ? low : high) = middle;
  }
  return by(high);
}

bool run(const Config& config) {
  const examples::ImageTask task(config);
  const Ends ends{task.features(), task.classes()};
  std::vector<Variation> variations;
  for (const double share : {1.0, 0.44, 0.31, 0.18, 0.10, 0.055, 0.03, 0.01}) {
    Config one = config;
    one.hidden = scaled(ends, config.hidden, share);
    std::string widths;
    for (const Index width : one.hidden) widths += (widths.empty() ? "" : "-") + std::to_string(width);
    char label[64];
    std::snprintf(label, sizeof label, "%.1f%% (%s)", 100 * weights(ends, one.hidden) / weights(ends, config.hidden), widths.c_str());
    variations.push_back({"size-" + widths, label, one});
  }
  examples::remove_result(config.out + "/sweep.md");
  const auto outcomes = examples::run_experiment(config.out, variations, task);
  if (!outcomes) return false;
  std::vector<examples::SweepPoint> rows;
  for (const auto& outcome : *outcomes) {
    rows.push_back({weights(ends, outcome.variation.config.hidden) / weights(ends, config.hidden), outcome.mean("/accuracy/test/binary"),
                    outcome.deviation("/accuracy/test/binary")});
  }
  const std::string table = examples::markdown_table(*outcomes, "base network");
  tombola::write_file(config.out + "/sweep.md", table);
  tombola::write_file(config.out + "/sweep.svg", examples::sweep_figure(rows));
  std::fputs(table.c_str(), stdout);
  return true;
}

}  // namespace

int main(int argc, char** argv) {
  Config config;
  config.out = "runs/base_size_sweep";
  return examples::experiment_main(argc, argv, "base_size_sweep",
                                   "Searches tickets in fully connected networks of 100% down to 1% of the weights of the one that --hidden names. "
                                   "Writes sweep.md and sweep.svg (the paper's figure 3) into --out.",
                                   config, run);
}
