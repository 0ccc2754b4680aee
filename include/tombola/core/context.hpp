/// \file
/// Context: what a computation may use: threads, pooled memory, scratch.
#pragma once

#include "tombola/core/memory.hpp"
#include "tombola/core/parallel.hpp"

namespace tombola::inline TOMBOLA_ISA {

/// The resources of one pass. Not shared by two user threads at once: give each its own. Outlives the tapes on it.
class Context {
 public:
  /// Throws `std::invalid_argument` unless 1 <= threads <= 1024.
  explicit Context(int threads = available_threads()) : threads_(threads) {
    require(threads >= 1 && threads <= 1024, "context: expected 1 to 1024 threads, got ", threads);
  }

  int threads() const noexcept { return threads_; }
  Pool& pool() noexcept { return pool_; }
  Workspace& workspace() noexcept { return workspace_; }

 private:
  int threads_;
  Pool pool_;
  Workspace workspace_;
};

}  // namespace tombola::inline TOMBOLA_ISA
