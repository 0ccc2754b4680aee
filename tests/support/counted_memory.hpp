/// \file
/// Replaces the aligned operator new, which tensors and scratch ask: counts what of it is alive, and was at most. For one source of a program.
#pragma once

#include <algorithm>
#include <atomic>
#include <cstddef>
#include <cstdlib>
#include <new>

namespace test_support {
inline constexpr std::size_t counted_front = 64;  // before what is handed out: how much it is
inline std::atomic<std::size_t> live_bytes{0};
inline std::atomic<std::size_t> most_bytes{0};  ///< of `live_bytes`, where one thread allocates
}  // namespace test_support

// Not inlined: g++ takes both for the usual ones there.
[[gnu::noinline]] void* operator new(std::size_t bytes, std::align_val_t) {
  using namespace test_support;
  auto* data = static_cast<std::byte*>(std::aligned_alloc(counted_front, (counted_front + bytes + counted_front - 1) / counted_front * counted_front));
  if (data == nullptr) throw std::bad_alloc();
  *reinterpret_cast<std::size_t*>(data) = bytes;
  live_bytes += bytes;
  most_bytes = std::max(most_bytes.load(), live_bytes.load());
  return data + counted_front;
}
[[gnu::noinline]] void operator delete(void* data, std::align_val_t) noexcept {
  using namespace test_support;
  if (data == nullptr) return;
  auto* begin = static_cast<std::byte*>(data) - counted_front;
  live_bytes -= *reinterpret_cast<std::size_t*>(begin);
  std::free(begin);
}
[[gnu::noinline]] void operator delete(void* data, std::size_t, std::align_val_t align) noexcept { operator delete(data, align); }
