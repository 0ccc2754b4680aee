/// \file
/// One search from options to files: ticket or weights, summary, history, figures.
#pragma once

#include <string>

#include "support/task.hpp"

namespace examples {

/// One search, and all its files into the folder, which the caller holds as a `RunFolder`; an empty summary if it was interrupted.
Json run_one(const Config& config, const Task& task, const std::string& folder, const std::string& name);

}  // namespace examples
