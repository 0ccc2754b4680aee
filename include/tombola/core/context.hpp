/// \file
/// Context: what a computation may use: threads, pooled memory, scratch.
#pragma once

#include "tombola/core/memory.hpp"
#include "tombola/core/parallel.hpp"

namespace tombola::inline TOMBOLA_ISA {

/// The resources of one pass. Not shared by two user threads at once: give each its own. Outlives the tapes on it.
class Context {
 public:
  /// Throws as Threads does.
  explicit Context(int threads = available_threads()) : threads_(threads) {}

  const Threads& threads() const noexcept { return threads_; }
  Pool& pool() noexcept { return pool_; }
  Workspace& workspace() noexcept { return workspace_; }

 private:
  Threads threads_;
  Pool pool_;
  Workspace workspace_;
};

}  // namespace tombola::inline TOMBOLA_ISA
