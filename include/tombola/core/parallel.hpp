/// \file
/// parallel_for: the only way to share work. It is cut by sizes alone, never by the number of threads, so that every
/// result has the same bits for any number of threads.
#pragma once

#include <algorithm>
#include <concepts>

#include "tombola/core/threads.hpp"

namespace tombola::inline TOMBOLA_ISA {

/// Calls `body(chunk)`, or `body(chunk, worker)` with 0 <= worker < threads.count(), for every chunk in [0, chunks).
/// The body is noexcept; sums over chunks are kept per chunk and added in order by the caller.
template <class Body>
void parallel_for(const Threads& threads, Index chunks, const Body& body) noexcept {
  const auto call = [](const void* at, Index chunk, [[maybe_unused]] int worker) {
    const Body& body = *static_cast<const Body*>(at);
    if constexpr (std::invocable<const Body&, Index, int>) {
      body(chunk, worker);
    } else {
      body(chunk);
    }
  };
  threads.run(chunks, call, &body);
}

/// Elements [first, last) of one chunk.
struct Range {
  Index first, last;
  Index size() const noexcept { return last - first; }
};

/// Calls `body(range)`, or `body(range, chunk)`, for [0, count) cut into chunks of `grain` elements, the last one shorter.
template <class Body>
void parallel_ranges(const Threads& threads, Index count, Index grain, const Body& body) noexcept {
  struct Cut {
    const Body& body;
    Index count, grain;
  };
  const auto call = [](const void* at, Index chunk, int /*worker*/) {
    const Cut& cut = *static_cast<const Cut*>(at);
    const Range range{chunk * cut.grain, std::min(cut.count, (chunk + 1) * cut.grain)};
    if constexpr (std::invocable<const Body&, Range, Index>) {
      cut.body(range, chunk);
    } else {
      cut.body(range);
    }
  };
  const Cut cut{body, count, grain};
  threads.run((count + grain - 1) / grain, call, &cut);
}

}  // namespace tombola::inline TOMBOLA_ISA
