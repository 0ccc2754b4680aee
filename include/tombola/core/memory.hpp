/// \file
/// Aligned blocks of bytes: a Block that owns one, a Pool that reuses them by size class, a Workspace for scratch.
#pragma once

#ifdef __linux__
#include <sys/mman.h>
#endif

#include <bit>
#include <cstddef>
#include <new>
#include <utility>

#include "tombola/core/isa.hpp"

namespace tombola::inline TOMBOLA_ISA {

/// Every tensor and every scratch array begins at a multiple of this: a cache line and the widest register.
inline constexpr std::size_t alignment = 64;

namespace detail {

inline constexpr std::size_t large_page = std::size_t{1} << 21;

/// Blocks of so many bytes begin with a large page.
constexpr bool fills_large_pages(std::size_t bytes) noexcept { return bytes >= 2 * large_page; }
constexpr std::align_val_t block_alignment(std::size_t bytes) noexcept { return std::align_val_t{fills_large_pages(bytes) ? large_page : alignment}; }

/// Bytes of the system, in large pages where it has them: several arrays read side by side leave a page of 4 KiB every few hundred nanoseconds,
/// and a virtual machine looks each next one up twice. Throws `std::bad_alloc`.
[[gnu::noinline]] inline std::byte* take_bytes(std::size_t bytes) {
  if (bytes > std::size_t{1} << 62) throw std::bad_alloc();  // rounded up by the system, it might wrap around
  auto* data = static_cast<std::byte*>(::operator new (bytes, block_alignment(bytes)));
#ifdef MADV_HUGEPAGE
  if (fills_large_pages(bytes)) ::madvise(data, bytes, MADV_HUGEPAGE);  // advice: without such pages nothing is lost
#endif
  return data;
}
inline void give_bytes(void* data, std::size_t bytes) noexcept { ::operator delete (data, block_alignment(bytes)); }

}  // namespace detail

class Pool;

/// Owns aligned, uninitialised bytes; gives them back to its pool, or to the system where it has none.
class Block {
 public:
  Block() = default;
  /// Throws `std::bad_alloc`.
  explicit Block(std::size_t bytes) : data_(bytes == 0 ? nullptr : detail::take_bytes(bytes)), bytes_(bytes) {}
  Block(Block&& other) noexcept
      : data_(std::exchange(other.data_, nullptr)),
        bytes_(std::exchange(other.bytes_, 0)),
        pool_(std::exchange(other.pool_, nullptr)) {}
  Block& operator=(Block&& other) noexcept {
    Block taken(std::move(other));  // what this block owned goes back here, not when `other` ends
    std::swap(data_, taken.data_);
    std::swap(bytes_, taken.bytes_);
    std::swap(pool_, taken.pool_);
    return *this;
  }
  ~Block() {
    if (data_ != nullptr) release();
  }

  std::byte* data() const noexcept { return data_; }
  std::size_t bytes() const noexcept { return bytes_; }
  /// Gives the bytes back now. Never inlined: wherever a tensor ends, its code would be compiled again.
  void release() noexcept;

 private:
  friend class Pool;
  std::byte* data_ = nullptr;
  std::size_t bytes_ = 0;
  Pool* pool_ = nullptr;
};

/// Keeps released blocks in size classes (four to a power of two) and hands them out again. Not for use by two threads
/// at once; outlives every block that it handed out.
class Pool {
 public:
  Pool() = default;
  Pool(const Pool&) = delete;
  Pool& operator=(const Pool&) = delete;
  ~Pool() { trim(); }

  /// A block of at least `bytes`. Throws `std::bad_alloc` if the system has none, even after it got the kept ones back.
  [[gnu::noinline]] Block take(std::size_t bytes) {
    const std::size_t size_class = class_of(bytes);
    Free*& free = free_[size_class];
    Block block;
    if (free == nullptr) {
      try {
        block = Block(class_bytes(size_class));
      } catch (const std::bad_alloc&) {
        trim();
        block = Block(class_bytes(size_class));
      }
    } else {
      block.bytes_ = class_bytes(size_class);
      block.data_ = reinterpret_cast<std::byte*>(std::exchange(free, free->next));
    }
    block.pool_ = this;
    return block;
  }

  /// Returns the kept blocks to the system.
  void trim() noexcept {
    for (std::size_t size_class = 0; Free*& free : free_) {
      while (free != nullptr) detail::give_bytes(std::exchange(free, free->next), class_bytes(size_class));
      ++size_class;
    }
  }

 private:
  friend class Block;
  static constexpr std::size_t smallest = 256;

  // Class 4 i + j holds 256 * 2^i * (1 + j / 4) bytes: at most a quarter of a block is unused.
  static std::size_t class_bytes(std::size_t size_class) noexcept {
    return (smallest << (size_class / 4)) / 4 * (4 + size_class % 4);
  }
  static std::size_t class_of(std::size_t bytes) {
    if (bytes <= smallest) return 0;
    if (bytes > std::size_t{1} << 62) throw std::bad_alloc();
    std::size_t size_class = 4 * (static_cast<std::size_t>(std::bit_width(bytes)) - 9);
    while (class_bytes(size_class) < bytes) ++size_class;
    return size_class;
  }
  void put(std::byte* data, std::size_t bytes) noexcept {
    Free*& free = free_[class_of(bytes)];
    free = new (data) Free{free};
  }

  struct Free {  // at the beginning of each kept block, so that keeping one never allocates
    Free* next;
  };
  Free* free_[256] = {};  // the first kept block of each class
};

// Never inlined, as some others that many functions call: compiled once, not everywhere a tensor ends.
[[gnu::noinline]] inline void Block::release() noexcept {
  if (data_ == nullptr) return;
  if (pool_ != nullptr) {
    pool_->put(data_, bytes_);
  } else {
    detail::give_bytes(data_, bytes_);
  }
  data_ = nullptr;
  bytes_ = 0;
  pool_ = nullptr;
}

/// Scratch for one kernel call at a time: grows to the largest request and stays there.
class Workspace {
 public:
  /// At least `count` uninitialised elements, valid until the next call. Throws `std::bad_alloc`.
  template <class T>
  T* take(std::size_t count) {
    if (count > static_cast<std::size_t>(-1) / sizeof(T)) throw std::bad_alloc();  // the product would wrap around
    const std::size_t bytes = count * sizeof(T);
    if (bytes > block_.bytes()) {
      block_.release();
      block_ = Block(bytes);
    }
    return reinterpret_cast<T*>(block_.data());
  }

 private:
  Block block_;
};

}  // namespace tombola::inline TOMBOLA_ISA
