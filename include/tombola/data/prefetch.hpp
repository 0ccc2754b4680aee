/// \file
/// Prefetch: mini-batches that a thread of their own makes while the last one is computed with.
#pragma once

#include <condition_variable>
#include <exception>
#include <mutex>
#include <thread>
#include <utility>

#include "tombola/data/batches.hpp"

namespace tombola::inline TOMBOLA_ISA::data {

/// The batches of a `Batches` with the same options, one ahead: while the caller computes with one, a thread makes the next. Worth it
/// where making a batch takes longer than handing it over (some microseconds), as with augmented images.
///
///     Prefetch<float> batches(images, options);
///     for (Index b = 0; b < batches.count(); ++b) step(batches.get(epoch, b));
///
/// Borrows the images. The options' `threads` are not used. Not for use by two user threads at once.
template <class T>
class Prefetch {
 public:
  /// Throws as `Batches` does, and `std::system_error` if no thread can be started.
  explicit Prefetch(const Images& images, BatchOptions options = {})
      : batches_(images, alone(std::move(options))),
        worker_([this] { work(); }) {}
  explicit Prefetch(const Images&& images, BatchOptions options = {}) = delete;
  ~Prefetch() {
    hand_over([this] { stops_ = true; });
    worker_.join();
  }
  Prefetch(const Prefetch&) = delete;
  Prefetch& operator=(const Prefetch&) = delete;

  Index count() const noexcept { return batches_.count(); }

  /// One batch, valid until the next call. Any order is right; the next batch of the epoch, or the first of the next epoch, is there
  /// soonest. Throws `std::invalid_argument` as `Batches::get` does.
  Batch<T> get(Index epoch, Index number) {
    batches_.size(number);  // refuses other numbers
    wait();
    if (made_ != Place{epoch, number}) {
      ask({epoch, number});
      wait();
    }
    if (failure_) {
      made_ = {};
      std::rethrow_exception(std::exchange(failure_, nullptr));
    }
    std::swap(front_, back_);
    const Batch<T> batch{number, front_.x.view().slice(0, front_.size), front_.labels.view().slice(0, front_.size)};
    const bool last = number + 1 == count();
    ask(last ? Place{epoch + 1, 0} : Place{epoch, number + 1});
    return batch;
  }

 private:
  static BatchOptions alone(BatchOptions options) {
    options.threads = nullptr;
    return options;
  }
  struct Place {
    Index epoch = -1, number = -1;
    bool operator==(const Place&) const = default;
  };
  struct Buffer {
    Tensor<T> x;
    Tensor<std::int32_t> labels;
    Index size = 0;
  };

  template <class Change>
  void hand_over(const Change& change) {
    {
      const std::lock_guard lock(mutex_);
      change();
    }
    changed_.notify_all();
  }
  void ask(Place place) {
    hand_over([&] {
      made_ = place;
      failure_ = nullptr;
      asked_ = true;
    });
  }
  void wait() {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [this] { return !asked_; });
  }

  void work() noexcept {
    for (;;) {
      {
        std::unique_lock lock(mutex_);
        changed_.wait(lock, [this] { return asked_ || stops_; });
        if (stops_) return;
      }
      try {  // the caller touches neither the batches nor the back buffer before asked_ is false again
        make(made_);
      } catch (...) {
        failure_ = std::current_exception();
      }
      hand_over([this] { asked_ = false; });
    }
  }
  void make(Place place) {
    if (back_.labels.size() == 0) {
      const Shape largest = batches_.shape(0);
      back_.x = Tensor<T>::uninitialized(largest);
      back_.labels = Tensor<std::int32_t>::uninitialized({largest[0]});
    }
    back_.size = batches_.size(place.number);
    batches_.fill(place.epoch, place.number, back_.x.view().slice(0, back_.size), back_.labels.view().slice(0, back_.size));
  }

  Batches<T> batches_;
  Buffer front_, back_;
  std::mutex mutex_;
  std::condition_variable changed_;
  bool asked_ = false, stops_ = false;
  Place made_;  ///< what the back buffer holds, or will hold when `asked_` is false again
  std::exception_ptr failure_;
  std::thread worker_;  // last: the others are there before it starts
};

}  // namespace tombola::inline TOMBOLA_ISA::data
