#include "support/experiment.hpp"

#include <cstdio>
#include <stdexcept>
#include <utility>

#include "support/interruption.hpp"
#include "support/options.hpp"
#include "support/replicates.hpp"
#include "support/run_folder.hpp"
#include "support/search_program.hpp"
#include "support/standard_output.hpp"

namespace examples {

std::optional<std::vector<Outcome>> run_experiment(const std::string& out, std::vector<Variation> variations, const Task& task) {
  std::vector<Outcome> outcomes;
  for (Variation& variation : variations) {
    variation.config.out = out + "/" + variation.name;
    const RunFolder folder(variation.config.out);
    auto summary = run_replicates(variation.config, task, variation.name + "  ");
    if (!summary) return std::nullopt;
    outcomes.push_back({std::move(variation), std::move(*summary)});
  }
  return outcomes;
}

std::string markdown_table(const std::vector<Outcome>& outcomes, const std::string& first_column) {
  std::string table =
      "| " + first_column +
      " | sparsity | test, binary | relaxed | above zero | fractional | shuffled | reseeded | no mask |\n"
      "|---|---|---|---|---|---|---|---|---|\n";
  for (const Outcome& outcome : outcomes) {
    char line[256];
    std::snprintf(line, sizeof line, "| %s | %.2f | %.2f ± %.2f | %.2f | %.2f | %.2f | %.1f | %.1f | %.1f |\n",
                  outcome.variation.label.c_str(), 100 * outcome.mean("/gates/sparsity"),
                  100 * outcome.mean("/accuracy/test/binary"), 100 * outcome.deviation("/accuracy/test/binary"),
                  100 * outcome.mean("/accuracy/test/relaxed"), 100 * outcome.mean("/accuracy/test/above_zero"),
                  100 * outcome.mean("/gates/fractional"), 100 * outcome.mean("/accuracy/control/shuffled_mask"),
                  100 * outcome.mean("/accuracy/control/reseeded_weights"),
                  100 * outcome.mean("/accuracy/control/unmasked"));
    table += line;
  }
  return table;
}

int experiment_main(int argc, char** argv, const std::string& name, const std::string& description,
                    Config config, const std::function<bool(const Config&)>& experiment) {
  CLI::App app(description, name);
  add_options(app, config);
  add_lenet_options(app, config);
  CLI11_PARSE(app, argc, argv);
  return with_clear_errors(name, [&] {
    config.check();
    if (config.mode_value() == Mode::dense) throw std::runtime_error("--mode: expected a mode with gates, which the table is about, got dense");
    const RunFolder folder(config.out);
    stop_on_signals();
    const bool finished = experiment(config);
    check_standard_output();
    return finished ? 0 : 130;
  });
}

}  // namespace examples
