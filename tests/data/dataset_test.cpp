#include "tombola/data/dataset.hpp"

#include <doctest/doctest.h>

#include <cstdint>
#include <vector>

#include "tombola/core/random.hpp"

using namespace tombola;
using data::Images;

namespace {

/// `count` images of 2 x 1 pixels and 2 channels; image i has the label i mod 3 and begins with the pixel i.
Images made_up(Index count) {
  Images images{"made up", Tensor<std::uint8_t>({count, 2, 1, 2}), Tensor<std::uint8_t>({count}), 3};
  for (Index i = 0; i < count; ++i) {
    images.labels[i] = static_cast<std::uint8_t>(i % 3);
    images.pixels[4 * i] = static_cast<std::uint8_t>(i);
  }
  return images;
}

}  // namespace

TEST_CASE("dataset: sizes") {
  const Images images = made_up(5);
  CHECK(images.count() == 5);
  CHECK(images.channels() == 2);
  CHECK(images.features() == 4);
  CHECK(Images().count() == 0);
  CHECK(Images().features() == 0);
}

TEST_CASE("dataset: the last images are set aside for validation") {
  const Images images = made_up(10);
  const auto [train, validation] = data::split(images, 3);
  CHECK(train.pixels.shape() == Shape{7, 2, 1, 2});
  CHECK(train.name == "made up");
  CHECK(train.classes == 3);
  CHECK(train.labels[6] == 0);
  CHECK(train.pixels[4 * 6] == 6);
  CHECK(validation.pixels.shape() == Shape{3, 2, 1, 2});
  CHECK(validation.labels.shape() == Shape{3});
  CHECK(validation.name == "validation");
  CHECK(validation.classes == 3);
  CHECK(validation.pixels[0] == 7);
  CHECK(validation.labels[0] == 1);
  CHECK(validation.pixels.data() != images.pixels.data() + 4 * 7);  // a copy

  CHECK(data::split(images, 0).validation.count() == 0);
  CHECK(data::split(images, 9).train.count() == 1);
  CHECK_THROWS_WITH_AS(data::split(images, 10),
                       "split: expected 0 to 9 of the 10 images of made up for validation, got 10",
                       std::invalid_argument);
  CHECK_THROWS_WITH_AS(data::split(images, -1),
                       "split: expected 0 to 9 of the 10 images of made up for validation, got -1",
                       std::invalid_argument);
}

TEST_CASE("dataset: a subset") {
  const Images images = made_up(10);
  const Images part = data::subset(images, 2, 4, "two");
  CHECK(part.name == "two");
  CHECK(part.count() == 2);
  CHECK(part.pixels[0] == 2);
  CHECK(part.labels[1] == 0);
  CHECK_THROWS_WITH_AS(data::subset(images, 4, 11, "x"), "subset: expected a range within [0, 10) of made up, got [4, 11)",
                       std::invalid_argument);
  CHECK_THROWS_WITH_AS(data::subset(images, 4, 3, "x"), "subset: expected a range within [0, 10) of made up, got [4, 3)",
                       std::invalid_argument);
  CHECK_THROWS_WITH_AS(data::subset(images, -1, 3, "x"), "subset: expected a range within [0, 10) of made up, got [-1, 3)",
                       std::invalid_argument);
}

TEST_CASE("dataset: images of each class") {
  CHECK(data::class_counts(made_up(10)) == std::vector<Index>{4, 3, 3});
  CHECK(data::class_counts(made_up(0)) == std::vector<Index>{0, 0, 0});
}

TEST_CASE("dataset: mean and deviation by hand") {
  const Images half{"half", Tensor<std::uint8_t>({2, 1, 1, 1}, {0, 255}), Tensor<std::uint8_t>({2}), 1};
  CHECK(data::mean_and_deviation(half).mean == std::vector<double>{0.5});
  CHECK(data::mean_and_deviation(half).deviation == std::vector<double>{0.5});

  // Channel 0: 0 0 51 51, mean .1, deviation .1; channel 1: all 255.
  const Images two{"two", Tensor<std::uint8_t>({2, 1, 2, 2}, {0, 255, 0, 255, 51, 255, 51, 255}),
                   Tensor<std::uint8_t>({2}), 1};
  CHECK(data::mean_and_deviation(two).mean == std::vector<double>{0.1, 1.0});
  CHECK(data::mean_and_deviation(two).deviation == std::vector<double>{0.1, 0.0});

  CHECK_THROWS_WITH_AS(data::mean_and_deviation(made_up(0)),
                       "mean_and_deviation: expected at least one pixel in made up, got [0, 2, 1, 2]",
                       std::invalid_argument);
}

TEST_CASE("dataset: mean and deviation of many pixels against the two-pass formula") {
  Images images{"noise", Tensor<std::uint8_t>({1000, 10, 10, 3}), Tensor<std::uint8_t>({1000}), 1};
  Sequence draws(Stream{.seed = 4, .purpose = Purpose::control});
  for (auto& pixel : images.pixels) pixel = static_cast<std::uint8_t>(draws.below(200));
  const data::Statistics statistics = data::mean_and_deviation(images);
  for (Index channel = 0; channel < 3; ++channel) {
    long double mean = 0, variance = 0;
    for (Index i = channel; i < images.pixels.size(); i += 3) mean += images.pixels[i] / 255.0L / 100'000;
    for (Index i = channel; i < images.pixels.size(); i += 3) {
      const long double difference = images.pixels[i] / 255.0L - mean;
      variance += difference * difference / 100'000;
    }
    // Three roundings of 1.1e-16 each; the reference has 64 bits of mantissa over 10^5 additions.
    const auto c = static_cast<std::size_t>(channel);
    CHECK(std::abs(static_cast<double>(statistics.mean[c] - mean)) < 1e-14);
    CHECK(std::abs(static_cast<double>(statistics.deviation[c] - std::sqrt(variance))) < 1e-14);
  }
}
