/// \file
/// parallel_for: the only way to share work. It is cut by sizes alone, never by the number of threads, so that every
/// result has the same bits for any number of threads.
#pragma once

#include <algorithm>

#include "tombola/core/threads.hpp"

namespace tombola::inline TOMBOLA_ISA {

/// a / b, rounded up, and the next multiple of b: of b > 0 and a > -b.
constexpr Index divide_up(Index a, Index b) noexcept { return (a + b - 1) / b; }
constexpr Index round_up(Index a, Index b) noexcept { return divide_up(a, b) * b; }

/// Elements [first, last) of one chunk.
struct Range {
  Index first, last;
  Index size() const noexcept { return last - first; }
};

namespace detail {

/// Calls the body at an address with its part of the work (a chunk's number, or its range), and with whose part it is if it takes that.
template <class Body, class Part, class Whose>
void call_body(const void* at, Part part, [[maybe_unused]] Whose whose) noexcept {
  const Body& body = *static_cast<const Body*>(at);
  if constexpr (requires { body(part, whose); }) {
    body(part, whose);
  } else {
    body(part);
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
    threads.run(divide_up(count, grain), call_chunk, this);
  }
};

}  // namespace detail

/// Calls `body(chunk)`, or `body(chunk, worker)` with 0 <= worker < threads.count(), for every chunk in [0, chunks).
/// The body is noexcept; sums over chunks are kept per chunk and added in order by the caller.
template <class Body>
void parallel_for(const Threads& threads, Index chunks, const Body& body) noexcept {
  threads.run(chunks, detail::call_body<Body, Index, int>, &body);
}

/// Calls `body(range)`, or `body(range, chunk)`, for [0, count) cut into chunks of `grain` elements, the last one shorter.
template <class Body>
void parallel_ranges(const Threads& threads, Index count, Index grain, const Body& body) noexcept {
  detail::CutLoop{&body, detail::call_body<Body, Range, Index>, count, grain}.run(threads);
}

}  // namespace tombola::inline TOMBOLA_ISA
