/// \file
/// parallel_phases: two alternating kinds of work, such as packing and multiplying, in one parallel region.
#pragma once

#include "tombola/core/parallel.hpp"

namespace tombola::inline TOMBOLA_ISA::kernels {

/// Opens once `needed` chunks have finished. Waiting spins briefly, then sleeps.
class PhaseGate {
 public:
  /// Counts one finished chunk; wakes the waiting workers when `boundary` have finished.
  void finish(Index boundary) noexcept {
    if (finished_.fetch_add(1, std::memory_order_acq_rel) + 1 == boundary) finished_.notify_all();
  }
  void wait(Index needed) const noexcept {
    Index finished = finished_.load(std::memory_order_acquire);
    for (int spin = 0; finished < needed && spin < 4000; ++spin) finished = finished_.load(std::memory_order_acquire);
    while (finished < needed) {
      finished_.wait(finished, std::memory_order_acquire);
      finished = finished_.load(std::memory_order_acquire);
    }
  }

 private:
  std::atomic<Index> finished_{0};
};

/// Calls, for every round in order, `first(round, chunk, worker)` for the chunks [0, first_chunks), then
/// `second(round, chunk, worker)` for [0, second_chunks). A phase begins when the one before has ended; chunks are
/// claimed in order, so whoever waits waits for work that is under way.
template <class First, class Second>
void parallel_phases(int threads, Index rounds, Index first_chunks, Index second_chunks, const First& first,
                     const Second& second) noexcept {
  const Index round_chunks = first_chunks + second_chunks;
  PhaseGate gate;
  parallel_for(threads, rounds * round_chunks, [&](Index index, int worker) {
    const Index round = index / round_chunks, chunk = index % round_chunks;
    const Index begin = round * round_chunks + (chunk < first_chunks ? 0 : first_chunks);
    const Index end = chunk < first_chunks ? begin + first_chunks : (round + 1) * round_chunks;
    gate.wait(begin);
    if (chunk < first_chunks) {
      first(round, chunk, worker);
    } else {
      second(round, chunk - first_chunks, worker);
    }
    gate.finish(end);
  });
}

}  // namespace tombola::inline TOMBOLA_ISA::kernels
