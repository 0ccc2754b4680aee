/// \file
/// Finds a strong lottery ticket in LeNet-300-100 on MNIST: the weights stay as the seed drew them, only gates are learned.
#include <cstdio>
#include <exception>
#include <new>

#include "support/replicates.hpp"
#include "support/standard_output.hpp"

namespace {

constexpr const char* footer =
    "What lambda gives with the other options' defaults (full MNIST, seed 1, strictly binary masks, test images):\n"
    "  --lambda 0.3   98.3% at 86.3% sparsity\n"
    "  --lambda 1     98.4% at 92.8%\n"
    "  --lambda 2.5   98.2% at 96.1%\n"
    "  --lambda 4.5   97.9% at 97.4%\n"
    "  --lambda 9     97.8% at 98.4%\n"
    "  --lambda 14    97.3% at 98.9%\n"
    "--target-sparsity 0.95 asks for a sparsity instead. Longer searches and --shift 1 do better: RESULTS.md.\n";

void print(const examples::Json& summary, const std::string& out) {
  const auto value = [&](const char* path) {
    const auto& entry = summary.at(examples::Json::json_pointer(path));
    return entry.is_object() ? entry.at("mean").get<double>() : entry.get<double>();
  };
  const bool gated = summary.contains(examples::Json::json_pointer("/accuracy/control"));
  std::printf("test accuracy %.2f%% (binary)", 100 * value("/accuracy/test/binary"));
  if (gated) {
    std::printf(" at %.2f%% sparsity; %.0f gates kept\n", 100 * value("/gates/sparsity"), value("/gates/kept"));
    std::printf("controls: shuffled mask %.1f%%, reseeded weights %.1f%%, no mask %.1f%%", 100 * value("/accuracy/control/shuffled_mask"),
                100 * value("/accuracy/control/reseeded_weights"), 100 * value("/accuracy/control/unmasked"));
  }
  if (summary.contains("ticket")) std::printf("\nticket: %.0f bytes, %.3f bits per weight", value("/ticket/bytes"), value("/ticket/bits_per_weight"));
  std::printf("\nfiles in %s\n", out.c_str());
}

int run(const examples::Config& config) {
  config.check();
  const examples::RunFolder folder(config.out);
  const examples::DataSource source = examples::find_mnist(config.data);
  const examples::Data data = examples::load_data(config, source);
  examples::mention_subset(config, source, data);
  examples::stop_on_signals();
  const auto summary = examples::run_replicates(config, data, examples::describe(data, source));
  if (!summary) return 130;
  print(*summary, config.out);
  examples::check_standard_output();
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  examples::Config config;
  CLI::App app(
      "Finds a strong lottery ticket in LeNet-300-100 on MNIST or a data set in its format: the weights stay as the seed drew them, only "
      "stochastic gates are learned. Writes a ticket (seed and mask), summary.json, history.csv and figures into --out.",
      "lenet_mnist");
  app.footer(footer);
  examples::add_options(app, config);
  CLI11_PARSE(app, argc, argv);
  try {
    return run(config);
  } catch (const std::bad_alloc&) {
    std::fprintf(stderr, "lenet_mnist: not enough memory: expected a smaller network or batch (--hidden, --batch)\n");
    return 1;
  } catch (const std::exception& error) {
    std::fprintf(stderr, "lenet_mnist: %s\n", error.what());
    return 1;
  }
}
