#include <doctest/doctest.h>

#include <algorithm>
#include <atomic>
#include <cstdlib>
#include <new>

#include "support/tensors.hpp"
#include "tombola/autograd/parameter.hpp"
#include "tombola/ops/attention.hpp"
#include "tombola/ops/sum.hpp"

// Tensors and scratch ask for aligned memory: what of it is alive, and was at most. Not inlined: g++ takes both for the usual ones there.
namespace {
constexpr std::size_t front = 64;  // before what is handed out: how much it is
std::atomic<std::size_t> live{0}, most{0};
}  // namespace
[[gnu::noinline]] void* operator new(std::size_t bytes, std::align_val_t) {
  auto* data = static_cast<std::byte*>(std::aligned_alloc(front, (front + bytes + front - 1) / front * front));
  if (data == nullptr) throw std::bad_alloc();
  *reinterpret_cast<std::size_t*>(data) = bytes;
  live += bytes;
  most = std::max(most.load(), live.load());  // one thread allocates in these tests
  return data + front;
}
[[gnu::noinline]] void operator delete(void* data, std::align_val_t) noexcept {
  if (data == nullptr) return;
  auto* begin = static_cast<std::byte*>(data) - front;
  live -= *reinterpret_cast<std::size_t*>(begin);
  std::free(begin);
}
[[gnu::noinline]] void operator delete(void* data, std::size_t, std::align_val_t align) noexcept { operator delete(data, align); }

using namespace tombola;
using namespace test_support;

TEST_CASE("attention: memory, forward and backward, grows linearly with length") {
  const auto peak = [](Index length, bool causal) {
    const std::size_t before = live;
    most = before;
    Context context(2);
    Parameter<float> qkv(random_tensor<float>({1, length, 3 * 128}, 1));
    Tape<float> tape(context);
    tape.backward(sum(self_attention(parameter_value(tape, qkv), {.heads = 2, .causal = causal})));
    return static_cast<double>(most - before);
  };
  for (const bool causal : {false, true}) {
    double last = peak(256, causal);
    for (Index length = 512; length <= 4096; length *= 2) {
      const double now = peak(length, causal);
      CAPTURE(length);
      CHECK(now < 2.3 * last);  // pooled blocks are up to a quarter larger than asked for, so a doubling may show as a little more
      last = now;
    }
    // Values, gradients of q, k, v and y: 8 x 128 numbers a token. A matrix of all logits alone, of one head, would be 64 MiB.
    CHECK(last < 1.5 * 4096 * 8 * 128 * 4);
  }
}
