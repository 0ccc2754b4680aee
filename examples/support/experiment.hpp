/// \file
/// Experiments of many searches: variations of one configuration, a line of a table each.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "support/task.hpp"

namespace examples {

/// One search (or its replicates) of an experiment.
struct Variation {
  std::string name;   ///< of its folder
  std::string label;  ///< in the table
  Config config;
};

struct Outcome {
  Variation variation;
  Json summary;

  /// The number at a path of the summary; the mean where there are replicates.
  double mean(const std::string& path) const { return entry(path, "mean"); }
  double deviation(const std::string& path) const {
    return summary.at(Json::json_pointer(path)).is_object() ? entry(path, "deviation") : 0.0;
  }

 private:
  double entry(const std::string& path, const char* which) const {
    const Json& found = summary.at(Json::json_pointer(path));
    return found.is_object() ? found.at(which).get<double>() : found.get<double>();
  }
};

/// Runs the variations one after the other, each in its own folder of `out`, which the caller holds as a `RunFolder`; nothing if it was
/// interrupted.
std::optional<std::vector<Outcome>> run_experiment(const std::string& out, std::vector<Variation> variations, const Task& task);

/// A Markdown table of the outcomes: test accuracy under the three readings, sparsity, fractional gates, controls.
std::string markdown_table(const std::vector<Outcome>& outcomes, const std::string& first_column);

/// The main function of an experiment: declares the options, runs `experiment(config)` (which returns false if it was interrupted) and
/// turns exceptions into one line and status 1.
int experiment_main(int argc, char** argv, const std::string& name, const std::string& description,
                    Config config, const std::function<bool(const Config&)>& experiment);

}  // namespace examples
