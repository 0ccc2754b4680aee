/// \file
/// The main function of a program that searches one ticket, or its replicates.
#pragma once

#include <cstdio>
#include <exception>
#include <new>
#include <string>

#include "support/replicates.hpp"
#include "support/standard_output.hpp"

namespace examples {

inline void print_result(const Json& summary, const std::string& out) {
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

/// The options have been read; the task, of this class, reads the data. Returns the status: 0, or 130 after an interruption.
template <class SomeTask>
int run_searches(const Config& config) {
  config.check();
  const RunFolder folder(config.out);
  const SomeTask task(config);
  stop_on_signals();
  const auto summary = run_replicates(config, task);
  if (!summary) return 130;
  print_result(*summary, config.out);
  check_standard_output();
  return 0;
}

/// Runs `f()` and returns its status; turns exceptions into one line and status 1.
template <class F>
int with_clear_errors(const std::string& program, const F& f) {
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
