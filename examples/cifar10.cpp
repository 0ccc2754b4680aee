/// \file
/// Finds a strong lottery ticket in a convolutional network or a transformer on CIFAR-10: the weights stay as the seed drew them, only gates are learned.
#include "support/image_task.hpp"
#include "support/options.hpp"
#include "support/search_program.hpp"

int main(int argc, char** argv) {
  examples::Config config;
  config.network = "fast_resnet";
  config.data_set = "cifar10";
  config.out = "runs/cifar10";
  config.shift = 2;
  config.reflect = true;
  config.flip = "alternating";
  config.checkpoint_every = 1;
  config.validate_every = 5;
  config.use_falling_noise();
  CLI::App app(
      "Finds a strong lottery ticket in a convolutional network or a transformer on CIFAR-10: the weights stay as the seed drew them, only stochastic gates "
      "are learned. Writes a ticket (seed, mask and moments of normalisation), summary.json, history.csv and figures into --out.",
      "cifar10");
  examples::add_options(app, config);
  examples::add_image_options(app, config);
  CLI11_PARSE(app, argc, argv);
  return examples::with_clear_errors("cifar10", [&] {
    examples::check_image_options(app, config);
    return examples::run_searches<examples::ImageTask>(config);
  });
}
