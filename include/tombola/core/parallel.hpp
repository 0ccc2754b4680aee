/// \file
/// parallel_for: the only place where threads are started. Work is cut by sizes alone, never by the number of threads,
/// so that every result has the same bits for any number of threads.
#pragma once

#include <omp.h>

#include <algorithm>
#include <atomic>
#include <concepts>

#include "tombola/core/shape.hpp"

namespace tombola::inline TOMBOLA_ISA {

/// The number of processors that this process may use.
inline int available_threads() noexcept { return omp_get_num_procs(); }

/// Calls `body(chunk)`, or `body(chunk, worker)` with 0 <= worker < threads, for every chunk in [0, chunks).
/// Chunks are claimed one by one, so a processor that another process holds delays one chunk only. The body is
/// noexcept; sums over chunks are kept per chunk and added in order by the caller.
template <class Body>
void parallel_for(int threads, Index chunks, const Body& body) noexcept {
  const auto call = [&body](Index chunk, int worker) {
    if constexpr (std::invocable<const Body&, Index, int>) {
      body(chunk, worker);
    } else {
      body(chunk);
    }
  };
  const int workers = static_cast<int>(std::min<Index>(threads, chunks));
  if (workers <= 1) {
    for (Index chunk = 0; chunk < chunks; ++chunk) call(chunk, 0);
    return;
  }
  std::atomic<Index> next{0};
#pragma omp parallel num_threads(workers)
  {
    const int worker = omp_get_thread_num();
    for (Index chunk; (chunk = next.fetch_add(1, std::memory_order_relaxed)) < chunks;) call(chunk, worker);
  }
}

/// Elements [first, last) of one chunk.
struct Range {
  Index first, last;
  Index size() const noexcept { return last - first; }
};

/// Calls `body(range)`, or `body(range, chunk)`, for [0, count) cut into chunks of `grain` elements, the last one shorter.
template <class Body>
void parallel_ranges(int threads, Index count, Index grain, const Body& body) noexcept {
  parallel_for(threads, (count + grain - 1) / grain, [&](Index chunk) {
    const Range range{chunk * grain, std::min(count, (chunk + 1) * grain)};
    if constexpr (std::invocable<const Body&, Range, Index>) {
      body(range, chunk);
    } else {
      body(range);
    }
  });
}

}  // namespace tombola::inline TOMBOLA_ISA
