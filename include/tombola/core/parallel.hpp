/// \file
/// parallel_for: the only way to share work. It is cut by sizes alone, never by the number of threads, so that every
/// result has the same bits for any number of threads.
#pragma once

#include <algorithm>

#include "tombola/core/threads.hpp"

namespace tombola::inline TOMBOLA_ISA {

/// Elements [first, last) of one chunk.
struct Range {
  Index first, last;
  Index size() const noexcept { return last - first; }
};

namespace detail {

/// Calls a body through the pointers that `Threads::run` takes.
template <class Body>
void call_for_chunk(const void* at, Index chunk, [[maybe_unused]] int worker) noexcept {
  const Body& body = *static_cast<const Body*>(at);
  if constexpr (requires { body(chunk, worker); }) {
    body(chunk, worker);
  } else {
    body(chunk);
  }
}
template <class Body>
void call_for_range(const void* at, Range range, [[maybe_unused]] Index chunk) noexcept {
  const Body& body = *static_cast<const Body*>(at);
  if constexpr (requires { body(range, chunk); }) {
    body(range, chunk);
  } else {
    body(range);
  }
}

/// A loop over [0, count) in chunks of `grain`, whatever its body: compiled once.
struct CutLoop {
  const void* body;
  void (*call)(const void* body, Range range, Index chunk) noexcept;
  Index count, grain;

  void run(const Threads& threads) const noexcept {
    const auto call_chunk = [](const void* at, Index chunk, int /*worker*/) {
      const CutLoop& loop = *static_cast<const CutLoop*>(at);
      loop.call(loop.body, {chunk * loop.grain, std::min(loop.count, (chunk + 1) * loop.grain)}, chunk);
    };
    threads.run((count + grain - 1) / grain, call_chunk, this);
  }
};

}  // namespace detail

/// Calls `body(chunk)`, or `body(chunk, worker)` with 0 <= worker < threads.count(), for every chunk in [0, chunks).
/// The body is noexcept; sums over chunks are kept per chunk and added in order by the caller.
template <class Body>
void parallel_for(const Threads& threads, Index chunks, const Body& body) noexcept {
  threads.run(chunks, detail::call_for_chunk<Body>, &body);
}

/// Calls `body(range)`, or `body(range, chunk)`, for [0, count) cut into chunks of `grain` elements, the last one shorter.
template <class Body>
void parallel_ranges(const Threads& threads, Index count, Index grain, const Body& body) noexcept {
  detail::CutLoop{&body, detail::call_for_range<Body>, count, grain}.run(threads);
}

}  // namespace tombola::inline TOMBOLA_ISA
