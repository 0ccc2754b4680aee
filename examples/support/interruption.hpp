/// \file
/// How a user ends a search early.
#pragma once

#include <atomic>
#include <csignal>

namespace examples {

/// Set by ctrl-C, a polite kill or a lost terminal: the search stops at the next step, and saves a checkpoint. A second one ends the program at once.
inline std::atomic<bool> interrupted{false};
static_assert(std::atomic<bool>::is_always_lock_free, "a signal handler may touch it");

inline void stop_on_signals() {
  const auto stop = [](int signal) {
    interrupted = true;
    std::signal(signal, SIG_DFL);
  };
  for (const int signal : {SIGINT, SIGTERM}) std::signal(signal, stop);
  if (std::signal(SIGHUP, stop) == SIG_IGN) std::signal(SIGHUP, SIG_IGN);  // nohup
}

}  // namespace examples
