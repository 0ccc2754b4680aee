/// \file
/// Replaces the aligned operator new, which tensors and scratch ask: counts what of it is alive, and was at most. For one source of a program.
#pragma once

#include <algorithm>
#include <atomic>
#include <cstddef>
#include <cstdlib>
#include <new>

namespace test_support {
inline std::atomic<std::size_t> live_bytes{0};
inline std::atomic<std::size_t> most_bytes{0};  ///< of `live_bytes`, where one thread allocates
}  // namespace test_support

// Not inlined: g++ takes both for the usual ones there. Before what is handed out, as much as it is aligned to: how many bytes it has.
[[gnu::noinline]] void* operator new(std::size_t bytes, std::align_val_t align) {
  using namespace test_support;
  const auto front = static_cast<std::size_t>(align);
  auto* data = static_cast<std::byte*>(std::aligned_alloc(front, (front + bytes + front - 1) / front * front));
  if (data == nullptr) throw std::bad_alloc();
  *reinterpret_cast<std::size_t*>(data) = bytes;
  live_bytes += bytes;
  most_bytes = std::max(most_bytes.load(), live_bytes.load());
  return data + front;
}
[[gnu::noinline]] void operator delete(void* data, std::align_val_t align) noexcept {
  using namespace test_support;
  if (data == nullptr) return;
  auto* begin = static_cast<std::byte*>(data) - static_cast<std::size_t>(align);
  live_bytes -= *reinterpret_cast<std::size_t*>(begin);
  std::free(begin);
}
[[gnu::noinline]] void operator delete(void* data, std::size_t, std::align_val_t align) noexcept { operator delete(data, align); }
