/// \file
/// Finds a strong lottery ticket in a small causal transformer that tells the next character of a text: the weights stay as the seed drew them.
#include "support/options.hpp"
#include "support/search_program.hpp"
#include "support/text_task.hpp"

int main(int argc, char** argv) {
  examples::Config config;
  config.network = "gpt";
  config.data_set = "text";
  config.out = "runs/char_lm";
  config.depth = 4;
  config.batch = 32;
  config.epochs = 10;
  config.checkpoint_every = 1;
  config.use_falling_noise();
  CLI::App app(
      "Finds a strong lottery ticket in a small causal transformer on a text file: the weights stay as the seed drew them, only stochastic gates are "
      "learned. The last tenth of the text is for testing, the tenth before it for validation. Writes a ticket (seed and mask), summary.json with bits per "
      "character of the ticket and of models that count, history.csv and figures into --out.",
      "char_lm");
  examples::add_options(app, config);
  examples::add_text_options(app, config);
  CLI11_PARSE(app, argc, argv);
  return examples::with_clear_errors("char_lm", [&config] { return examples::run_searches<examples::TextTask>(config); });
}
