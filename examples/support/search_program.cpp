#include "support/search_program.hpp"

#include <cstdio>
#include <exception>
#include <new>

#include "support/interruption.hpp"
#include "support/replicates.hpp"
#include "support/run_folder.hpp"
#include "support/standard_output.hpp"

namespace examples {

namespace {

/// Prints what a summary says of the test set and of the ticket, and where the files are.
void print_result(const Json& summary, const std::string& out) {
  const auto value = [&](const char* path) {
    const auto& entry = summary.at(Json::json_pointer(path));
    return entry.is_object() ? entry.at("mean").get<double>() : entry.get<double>();
  };
  const bool gated = summary.contains(Json::json_pointer("/accuracy/control"));
  if (summary.contains("bits_per_character")) std::printf("test: %.3f bits per character, ", value("/bits_per_character/test/binary"));
  std::printf("test accuracy %.2f%% (binary)", 100 * value("/accuracy/test/binary"));
  if (gated) {
    std::printf(" at %.2f%% sparsity; %.0f gates kept\n", 100 * value("/gates/sparsity"), value("/gates/kept"));
    std::printf("controls: shuffled mask %.1f%%, reseeded weights %.1f%%, no mask %.1f%%", 100 * value("/accuracy/control/shuffled_mask"),
                100 * value("/accuracy/control/reseeded_weights"), 100 * value("/accuracy/control/unmasked"));
  }
  if (summary.contains("ticket")) std::printf("\nticket: %.0f bytes, %.3f bits per weight", value("/ticket/bytes"), value("/ticket/bits_per_weight"));
  std::printf("\nfiles in %s\n", out.c_str());
}

}  // namespace

int run_searches(const Config& config, const std::function<std::unique_ptr<const Task>()>& read_data) {
  config.check();
  const RunFolder folder(config.out);
  const std::unique_ptr<const Task> task = read_data();
  stop_on_signals();
  const auto summary = run_replicates(config, *task);
  if (!summary) return 130;
  print_result(*summary, config.out);
  check_standard_output();
  return 0;
}

int with_clear_errors(const std::string& program, const std::function<int()>& f) {
  try {
    return f();
  } catch (const std::bad_alloc&) {
    std::fprintf(stderr, "%s: not enough memory: expected a smaller network or batch\n", program.c_str());
  } catch (const std::exception& error) {
    std::fprintf(stderr, "%s: %s\n", program.c_str(), error.what());
  }
  return 1;
}

}  // namespace examples
