#include <doctest/doctest.h>

#include "support/counted_memory.hpp"
#include "support/tensors.hpp"
#include "tombola/autograd/parameter.hpp"
#include "tombola/ops/attention.hpp"
#include "tombola/ops/sum.hpp"

using namespace tombola;
using namespace test_support;

TEST_CASE("attention: memory, forward and backward, grows linearly with length") {
  const auto peak = [](Index length, bool causal) {
    const std::size_t before = live_bytes;
    most_bytes = before;
    Context context(2);
    Parameter<float> qkv(random_tensor<float>({1, length, 3 * 128}, 1));
    Tape<float> tape(context);
    tape.backward(sum(self_attention(parameter_value(tape, qkv), {.heads = 2, .causal = causal})));
    return static_cast<double>(most_bytes - before);
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
