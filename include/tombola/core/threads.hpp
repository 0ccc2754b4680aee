/// \file
/// Threads: a team that shares loops. OpenMP starts the workers; how they claim work and how they wait is ours.
#pragma once

#include <omp.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdint>
#include <memory>
#include <thread>
#include <utility>

#include "tombola/core/error.hpp"
#include "tombola/core/shape.hpp"

namespace tombola::inline TOMBOLA_ISA {

/// The number of processors that this process may use, as far as `Threads` can.
inline int available_threads() noexcept { return std::min(omp_get_num_procs(), 1024); }

namespace detail {

/// Tells the processor that this thread waits for another one.
inline void relax() noexcept {
#if defined(__x86_64__) || defined(__i386__)
  __builtin_ia32_pause();
#elif defined(__aarch64__)
  asm volatile("yield");
#endif
}

/// Returns once `done()` holds, or after `patience`: whether it held. Asks without sleeping.
template <class Done>
bool spin_until(std::chrono::microseconds patience, const Done& done) noexcept {
  const auto end = std::chrono::steady_clock::now() + patience;
  do {
    for (int i = 0; i < 32; ++i) {
      if (done()) return true;
      relax();
    }
  } while (std::chrono::steady_clock::now() < end);
  return done();
}

/// The workers of one team, and the loop that they share at the moment.
///
/// Each worker has a part of the chunks and helps the others when it is done. So loop after loop the same worker touches the same
/// memory, which stays in its processor's caches, and a processor that another process holds delays one chunk only.
/// A claim holds the number of the loop and the part's next chunk: one compare-and-swap both claims a chunk and proves that the
/// loop's other fields, read before, were its own. So the caller waits for claimed chunks alone, never for a worker that has
/// not come to claim one.
class Team {
 public:
  using Call = void (*)(const void* body, Index chunk, int worker);
  static constexpr Index most_chunks = 0x7FFFFFFF;  ///< of one loop

  /// The caller is worker 0; starts `count - 1` others.
  [[gnu::noinline]] explicit Team(int count)
      : patience_(count <= available_threads() ? 100 : 0),
        count_(static_cast<std::uint32_t>(count)),
        claims_(std::make_unique<Claim[]>(count_)),
        starter_([this] { start(); }) {}
  [[gnu::noinline]] ~Team() {
    stopping_ = true;
    loop_.fetch_add(1);
    loop_.notify_all();
    starter_.join();
  }
  Team(const Team&) = delete;
  Team& operator=(const Team&) = delete;

  /// One thread at a time may share a loop: whether it is this one, until `release`.
  bool acquire() noexcept { return !busy_.exchange(true, std::memory_order_acquire); }
  void release() noexcept { busy_.store(false, std::memory_order_release); }

  /// Calls `call(body, chunk, worker)` for every chunk in [0, chunks) and returns when all have returned.
  void run(Index chunks, Call call, const void* body) noexcept {
    const std::uint32_t loop = loop_.load(std::memory_order_relaxed) + 1;
    const std::uint64_t number = std::uint64_t{loop} << 32;
    for (std::uint32_t part = 0; part < count_; ++part) {  // nothing to claim while the fields change
      claims_[part].next.store(number | 0xFFFFFFFFu, std::memory_order_relaxed);
    }
    call_.store(call, std::memory_order_release);
    body_.store(body, std::memory_order_release);
    chunks_.store(static_cast<std::uint32_t>(chunks), std::memory_order_release);
    left_.store(static_cast<std::uint32_t>(chunks), std::memory_order_relaxed);
    for (std::uint32_t part = 0; part < count_; ++part) {
      claims_[part].next.store(number | begin(part, static_cast<std::uint32_t>(chunks)), std::memory_order_release);
    }
    loop_.store(loop);
    loop_.notify_all();
    finish(work(0));
    const auto none_left = [this] { return left_.load(std::memory_order_acquire) == 0; };
    if (spin_until(patience_, none_left)) return;
    for (std::uint32_t left; (left = left_.load(std::memory_order_acquire)) != 0;) left_.wait(left, std::memory_order_acquire);
  }

 private:
  /// Opens the parallel region in which the workers live; its own member 0, which OpenMP binds to the caller's place, is idle.
  void start() noexcept {
#pragma omp parallel num_threads(static_cast<int>(count_))
    if (const int worker = omp_get_thread_num(); worker != 0) serve(static_cast<std::uint32_t>(worker));
  }

  void serve(std::uint32_t worker) noexcept {
    std::uint32_t seen = 0;
    while (true) {
      if (!spin_until(patience_, [&] { return loop_.load(std::memory_order_acquire) != seen; })) loop_.wait(seen);
      seen = loop_.load(std::memory_order_acquire);
      if (stopping_) return;
      finish(work(worker));
    }
  }

  /// The first chunk of a part, [0, chunks) being cut into `count_` of them.
  std::uint32_t begin(std::uint32_t part, std::uint32_t chunks) const noexcept {
    return static_cast<std::uint32_t>(std::uint64_t{chunks} * part / count_);
  }

  /// Claims chunks until none is left, its own first; returns how many it worked on.
  std::uint32_t work(std::uint32_t worker) noexcept {
    std::uint32_t done = 0;
    for (std::uint32_t other = 0; other < count_; ++other) done += work_on((worker + other) % count_, static_cast<int>(worker));
    return done;
  }
  std::uint32_t work_on(std::uint32_t part, int worker) noexcept {
    std::uint32_t done = 0;
    std::atomic<std::uint64_t>& next = claims_[part].next;
    std::uint64_t claim = next.load(std::memory_order_acquire);
    while (true) {
      const Call call = call_.load(std::memory_order_acquire);
      const void* body = body_.load(std::memory_order_acquire);
      const auto chunk = static_cast<std::uint32_t>(claim);
      if (chunk >= begin(part + 1, chunks_.load(std::memory_order_acquire))) return done;
      if (!next.compare_exchange_weak(claim, claim + 1, std::memory_order_acq_rel, std::memory_order_acquire)) continue;
      call(body, chunk, worker);
      ++done;
      claim = next.load(std::memory_order_acquire);
    }
  }
  void finish(std::uint32_t chunks) noexcept {
    if (chunks > 0 && left_.fetch_sub(chunks, std::memory_order_acq_rel) == chunks) left_.notify_one();
  }

  struct alignas(64) Claim {  // a cache line of its own
    std::atomic<std::uint64_t> next{0xFFFFFFFFu};
  };

  const std::chrono::microseconds patience_;  ///< how long a thread spins before it sleeps
  std::atomic<bool> busy_{false}, stopping_{false};
  std::atomic<std::uint32_t> loop_{0};  ///< number of the latest loop; waiting workers sleep on it
  const std::uint32_t count_;
  std::unique_ptr<Claim[]> claims_;
  alignas(64) std::atomic<Call> call_{nullptr};
  std::atomic<const void*> body_{nullptr};
  std::atomic<std::uint32_t> chunks_{0};
  alignas(64) std::atomic<std::uint32_t> left_{0};  ///< chunks that have not returned
  std::thread starter_;
};

}  // namespace detail

/// The threads that share a computation's loops: the one that calls, and `count - 1` workers, which are started at once, spin
/// for 100 microseconds after each loop (not at all if they are more than the processors) and then sleep. A number converts: `kernels::map(4, ...)` starts four for one call.
class Threads {
 public:
  /// Throws `std::invalid_argument` unless 1 <= count <= 1024, `std::system_error` if the first thread cannot be started. (The others are
  /// OpenMP's, whose runtime ends the program where the system has no more.)
  Threads(int count) : count_(count) {  // NOLINT(google-explicit-constructor)
    require(count >= 1 && count <= 1024, "threads: expected 1 to 1024, got ", count);
    if (count > 1) team_ = std::make_unique<detail::Team>(count);
  }
  Threads(Threads&& other) noexcept : count_(std::exchange(other.count_, 1)), team_(std::move(other.team_)) {}
  Threads& operator=(Threads&& other) noexcept {
    std::swap(count_, other.count_);
    std::swap(team_, other.team_);
    return *this;
  }

  int count() const noexcept { return count_; }

  /// Calls `call(body, chunk, worker)` with 0 <= worker < count for every chunk in [0, chunks). On the caller alone if the
  /// team is at work already: inside of another loop, or for another thread. Never inlined: each body is compiled once, and
  /// g++ does not warn of whole registers behind the ends of arrays whose few elements it sees.
  [[gnu::noinline]] void run(Index chunks, detail::Team::Call call, const void* body) const noexcept {
    if (count_ == 1 || chunks <= 1 || chunks > detail::Team::most_chunks || !team_->acquire()) {
      for (Index chunk = 0; chunk < chunks; ++chunk) call(body, chunk, 0);
      return;
    }
    team_->run(chunks, call, body);
    team_->release();
  }

 private:
  int count_;
  std::unique_ptr<detail::Team> team_;
};

}  // namespace tombola::inline TOMBOLA_ISA
