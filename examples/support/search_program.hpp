/// \file
/// The main function of a program that searches one ticket, or its replicates.
#pragma once

#include <functional>
#include <memory>
#include <string>

#include "support/task.hpp"

namespace examples {

/// The options have been read; `read_data` makes the task. Returns the status: 0, or 130 after an interruption.
int run_searches(const Config& config, const std::function<std::unique_ptr<const Task>()>& read_data);

/// The same for a task of this class.
template <class SomeTask>
int run_searches(const Config& config) {
  return run_searches(config, [&config] { return std::make_unique<const SomeTask>(config); });
}

/// Runs `f()` and returns its status; turns exceptions into one line and status 1.
int with_clear_errors(const std::string& program, const std::function<int()>& f);

}  // namespace examples
