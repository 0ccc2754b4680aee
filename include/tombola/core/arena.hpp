/// \file
/// Arena: many small objects, one after the other, all dropped at once.
#pragma once

#include <cstddef>
#include <vector>

#include "tombola/core/memory.hpp"

namespace tombola::inline TOMBOLA_ISA {

/// Hands out aligned bytes from growing slabs of a pool. Runs no destructors.
class Arena {
 public:
  explicit Arena(Pool& pool) : pool_(&pool) {}

  /// `bytes` uninitialised bytes at a multiple of `align` <= 64. Throws `std::bad_alloc`.
  [[gnu::noinline]] void* take(std::size_t bytes, std::size_t align) {
    used_ = (used_ + align - 1) / align * align;
    if (slabs_.empty() || used_ + bytes > slabs_.back().bytes()) {
      slabs_.push_back(pool_->take(bytes > slab ? bytes : slab));
      used_ = 0;
    }
    void* place = slabs_.back().data() + used_;
    used_ += bytes;
    return place;
  }
  void clear() noexcept {
    slabs_.clear();
    used_ = 0;
  }

 private:
  static constexpr std::size_t slab = 16 * 1024;
  Pool* pool_;
  std::vector<Block> slabs_;
  std::size_t used_ = 0;
};

}  // namespace tombola::inline TOMBOLA_ISA
