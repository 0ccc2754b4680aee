#include "tombola/core/weight_layout.hpp"

#include <doctest/doctest.h>

#include <vector>

using namespace tombola;

TEST_CASE("weight_layout: a convolution's weights are numbered as torchvision stores them") {
  const WeightLayout layout({2, 3, 4, 5});  // [out, height, width, in]
  CHECK(layout.torchvision() == Shape{2, 5, 3, 4});
  CHECK(!layout.is_plain());
  for (Index o = 0; o < 2; ++o) {
    for (Index y = 0; y < 3; ++y) {
      for (Index x = 0; x < 4; ++x) {
        for (Index i = 0; i < 5; ++i) CHECK(layout.number(((o * 3 + y) * 4 + x) * 5 + i) == ((o * 5 + i) * 3 + y) * 4 + x);
      }
    }
  }
  std::vector<int> lying(120), numbered(120), back(120);
  for (int i = 0; i < 120; ++i) lying[static_cast<std::size_t>(i)] = i;
  layout.to_numbers(lying.data(), numbered.data());
  CHECK(numbered[1] == 5);  // the second column of the first filter's first channel
  layout.from_numbers(numbered.data(), back.data());
  CHECK(back == lying);
}

TEST_CASE("weight_layout: everything else lies as it is numbered") {
  for (const Shape& shape : {Shape{7}, Shape{3, 5}, Shape{3, 1, 1, 5}, Shape{3, 5, 5, 1}, Shape{2, 3, 4}}) {
    const WeightLayout layout(shape);
    CHECK(layout.is_plain());
    for (Index i = 0; i < shape.size(); ++i) CHECK(layout.number(i) == i);
  }
  CHECK(WeightLayout({3, 5}).torchvision() == Shape{3, 5});
  CHECK(WeightLayout({3, 5, 5, 1}).torchvision() == Shape{3, 1, 5, 5});
}
