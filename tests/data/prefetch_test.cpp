#include "tombola/data/prefetch.hpp"

#include <doctest/doctest.h>

#include <chrono>
#include <thread>

#include "support/tensors.hpp"

using namespace tombola;
using namespace test_support;

namespace {

data::Images some_images(Index count) {
  data::Images images{"train", Tensor<std::uint8_t>({count, 6, 6, 3}), Tensor<std::uint8_t>({count}), 10};
  for (Index i = 0; i < images.pixels.size(); ++i) images.pixels[i] = static_cast<std::uint8_t>(i * 37 % 251);
  for (Index i = 0; i < count; ++i) images.labels[i] = static_cast<std::uint8_t>(i % 10);
  return images;
}

bool same(const data::Batch<float>& a, const data::Batch<float>& b) {
  return a.number == b.number && same_bits(a.x, b.x) && std::equal(a.labels.begin(), a.labels.end(), b.labels.begin(), b.labels.end());
}

}  // namespace

TEST_CASE("prefetch: the batches of Batches, in any order") {
  const data::Images images = some_images(23);
  const data::BatchOptions options{.size = 5, .seed = 3, .shift = 1, .flip = data::Flip::alternating, .cutout = 2};
  data::Batches<float> plain(images, options);
  data::Prefetch<float> ahead(images, options);
  REQUIRE(ahead.count() == 5);
  for (Index epoch = 0; epoch < 4; ++epoch) {
    for (Index b = 0; b < 5; ++b) CHECK(same(ahead.get(epoch, b), plain.get(epoch, b)));  // the last one is smaller
  }
  for (const auto& [epoch, b] : {std::pair<Index, Index>{7, 2}, {0, 4}, {0, 4}, {9, 0}, {9, 1}}) {
    const Index at = epoch;
    CAPTURE(at);
    CHECK(same(ahead.get(epoch, b), plain.get(epoch, b)));
  }
}

TEST_CASE("prefetch: a batch stays while the next one is made") {
  const data::Images images = some_images(40);
  data::Batches<float> plain(images, {.size = 8});
  data::Prefetch<float> ahead(images, {.size = 8});
  for (Index b = 0; b < 5; ++b) {
    const data::Batch<float> batch = ahead.get(0, b);
    std::this_thread::sleep_for(std::chrono::milliseconds(2));  // time for the next one to be written somewhere
    CHECK(same(batch, plain.get(0, b)));
  }
}

TEST_CASE("prefetch: unused, and gone at once") {
  const data::Images images = some_images(4);
  for (int i = 0; i < 50; ++i) {
    data::Prefetch<float> ahead(images, {.size = 2});
    if (i % 2 == 0) ahead.get(0, i / 2 % 2);
  }
}

TEST_CASE("prefetch: errors come where the batch is asked for, and do not last") {
  const data::Images images = some_images(4);
  data::Prefetch<float> ahead(images, {.size = 2});
  CHECK_THROWS_WITH_AS(ahead.get(0, 2), "batches: expected a number in [0, 2), got 2", std::invalid_argument);
  CHECK_THROWS_WITH_AS(ahead.get(-1, 0), "batches: expected an epoch from 0 to 2^32 - 1, got -1", std::invalid_argument);
  CHECK(ahead.get(0, 1).size() == 2);
  CHECK(ahead.get((Index{1} << 32) - 1, 1).size() == 2);  // no epoch follows, which nobody asks for
  CHECK_THROWS_WITH_AS(ahead.get(Index{1} << 32, 0), "batches: expected an epoch from 0 to 2^32 - 1, got 4294967296", std::invalid_argument);
  CHECK(ahead.get(0, 0).size() == 2);
  CHECK_THROWS_WITH_AS((data::Prefetch<float>(images, {.size = 0})), "batches: expected at least 1 image a batch, got 0", std::invalid_argument);
}
