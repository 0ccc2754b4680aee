/// \file
/// Searches over several seeds, and their mean and spread.
#pragma once

#include <optional>
#include <string>

#include "support/task.hpp"

namespace examples {

/// Runs the seeds `seed` to `seed + replicates - 1`: one into the folder itself, which the caller holds as a `RunFolder`, several into
/// folders `seed-N` with a summary beside them. Nothing if a run was interrupted.
std::optional<Json> run_replicates(const Config& config, const Task& task, const std::string& label = "");

}  // namespace examples
