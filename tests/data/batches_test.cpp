#include "tombola/data/batches.hpp"

#include <doctest/doctest.h>

#include <bit>
#include <cstdint>
#include <limits>
#include <ranges>
#include <type_traits>
#include <vector>

using namespace tombola;
using data::Batches;
using data::BatchOptions;
using data::Images;

static_assert(std::ranges::input_range<Batches<float>::Epoch>);
static_assert(!std::is_constructible_v<Batches<float>, Images>, "a temporary would be gone before the first batch");
static_assert(std::is_constructible_v<Batches<float>, const Images&, const BatchOptions&>);

namespace {

/// Image i has the label i mod 7, and pixels from which i can be told: its first two are i mod 256 and i / 256.
Images made_up(Index count, Index height = 2, Index width = 3, Index channels = 2) {
  Images images{"made up", Tensor<std::uint8_t>({count, height, width, channels}), Tensor<std::uint8_t>({count}), 7};
  const Index features = height * width * channels;
  for (Index i = 0; i < images.pixels.size(); ++i) images.pixels[i] = static_cast<std::uint8_t>(i * i % 251);
  for (Index i = 0; i < count; ++i) {
    images.labels[i] = static_cast<std::uint8_t>(i % 7);
    images.pixels[i * features] = static_cast<std::uint8_t>(i % 256);
    images.pixels[i * features + 1] = static_cast<std::uint8_t>(i / 256);
  }
  return images;
}

/// With these statistics x is the pixel itself.
data::Statistics bytes_as_they_are() { return {{0.0}, {1 / 255.0}}; }

/// The numbers of the images of an epoch, in order; checks what else is in its batches.
std::vector<std::uint32_t> images_of(const Images& images, Batches<float>& batches, Index epoch, Index first = 0) {
  std::vector<std::uint32_t> order;
  Index number = first;
  for (const auto batch : batches.epoch(epoch, first)) {
    CHECK(batch.number == number++);
    CHECK(batch.x.shape()[0] == batch.size());
    for (Index i = 0; i < batch.size(); ++i) {
      const float* x = batch.x.data() + i * images.features();
      const auto image = static_cast<Index>(x[0]) + 256 * static_cast<Index>(x[1]);
      order.push_back(static_cast<std::uint32_t>(image));
      REQUIRE(image < images.count());
      CHECK(batch.labels[i] == images.labels[image]);
      bool same = true;
      for (Index j = 0; j < images.features(); ++j)
        same = same && x[j] == static_cast<float>(images.pixels[image * images.features() + j]);
      CHECK(same);
    }
  }
  CHECK(number == batches.count());
  return order;
}

}  // namespace

TEST_CASE("batches: sizes, with a last partial batch") {
  const Images images = made_up(10);
  Batches<float> batches(images, {.size = 4});
  CHECK(batches.count() == 3);
  CHECK(batches.size(0) == 4);
  CHECK(batches.size(2) == 2);
  CHECK(batches.get(0, 0).x.shape() == Shape{4, 2, 3, 2});
  CHECK(batches.get(0, 2).x.shape() == Shape{2, 2, 3, 2});
  CHECK(batches.get(0, 2).rows().shape() == Shape{2, 12});
  CHECK(batches.get(0, 2).labels.shape() == Shape{2});
  CHECK(Batches<float>(images, {.size = 5}).count() == 2);
  CHECK(Batches<float>(images, {.size = 1}).count() == 10);
  CHECK(Batches<float>(images, {.size = 10}).count() == 1);
  Batches<float> large(images, {.size = std::numeric_limits<Index>::max()});
  CHECK(large.count() == 1);
  CHECK(large.get(0, 0).size() == 10);
  CHECK(Batches<float>(images).size(0) == 10);  // 128 by default
}

TEST_CASE("batches: an epoch has every image once, in the order of its permutation") {
  const Images images = made_up(300);
  for (const Index size : {1, 7, 128, 300, 1000}) {
    CAPTURE(size);
    Batches<float> batches(images, {.size = size, .seed = 5, .statistics = bytes_as_they_are()});
    for (const Index epoch : {0, 1, 9}) {
      CAPTURE(epoch);
      const auto expected = permutation({5, Purpose::order, 0, static_cast<std::uint32_t>(epoch)}, 300);
      CHECK(images_of(images, batches, epoch) == expected);
    }
  }
}

TEST_CASE("batches: the order has a known answer") {
  // permutation of seed 1, epoch 1, as a separate implementation of Philox and Fisher-Yates in Python gives it
  const Images images = made_up(10);
  Batches<float> batches(images, {.size = 3, .seed = 1, .statistics = bytes_as_they_are()});
  CHECK(images_of(images, batches, 1) == std::vector<std::uint32_t>{9, 6, 1, 7, 2, 3, 8, 4, 5, 0});
}

TEST_CASE("batches: in the order of the data set for evaluation") {
  const Images images = made_up(10);
  Batches<float> batches(images, {.size = 4, .shuffle = false, .statistics = bytes_as_they_are()});
  const std::vector<std::uint32_t> expected = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9};
  CHECK(images_of(images, batches, 0) == expected);
  CHECK(images_of(images, batches, 3) == expected);
}

TEST_CASE("batches: any batch is the same however one comes to it") {
  const Images images = made_up(100);
  const BatchOptions options{.size = 8, .seed = 3, .statistics = bytes_as_they_are()};
  Batches<float> straight(images, options), jumping(images, options);
  const auto whole = images_of(images, straight, 2);
  jumping.get(7, 3);
  const auto batch = jumping.get(2, 5);
  for (Index i = 0; i < 8; ++i)
    CHECK(batch.x.data()[i * 12] == static_cast<float>(whole[static_cast<std::size_t>(40 + i)]));
  jumping.get(0, 0);

  // A run that resumes in the middle of epoch 2.
  const auto rest = images_of(images, jumping, 2, 9);
  CHECK(rest == std::vector<std::uint32_t>(whole.begin() + 72, whole.end()));
  CHECK(images_of(images, jumping, 2, 13).empty());
}

TEST_CASE("batches: x = (pixel / 255 - mean) / deviation, rounded once, for every byte and channel") {
  Images images{"bytes", Tensor<std::uint8_t>({1, 16, 16, 2}), Tensor<std::uint8_t>({1}), 1};
  for (Index i = 0; i < 512; ++i) images.pixels[i] = static_cast<std::uint8_t>(i / 2);
  const data::Statistics statistics{{0.1307, 0.5}, {0.3081, 2.0}};
  Batches<float> floats(images, {.statistics = statistics});
  Batches<double> doubles(images, {.statistics = statistics});
  const auto x = floats.get(0, 0).x;
  const auto exact = doubles.get(0, 0).x;
  bool all_exact = true, all_rounded = true;
  for (int pixel = 0; pixel < 256; ++pixel) {
    for (int channel = 0; channel < 2; ++channel) {
      const Index at = 2 * pixel + channel;
      const double expected = channel == 0 ? (pixel / 255.0 - 0.1307) / 0.3081 : (pixel / 255.0 - 0.5) / 2.0;
      all_exact = all_exact && exact[at] == expected;
      all_rounded = all_rounded && x[at] == static_cast<float>(expected);
    }
  }
  CHECK(all_exact);
  CHECK(all_rounded);
  // Known bits, from Python.
  CHECK(std::bit_cast<std::uint32_t>(x[2 * 0]) == 0xBED93270);
  CHECK(std::bit_cast<std::uint32_t>(x[2 * 128]) == 0x3F9A3D78);
  CHECK(std::bit_cast<std::uint32_t>(x[2 * 255]) == 0x4034933C);
}

TEST_CASE("batches: pixels from 0 to 1 by default, one mean for all channels") {
  Images images{"bytes", Tensor<std::uint8_t>({1, 1, 1, 3}, {0, 51, 255}), Tensor<std::uint8_t>({1}), 1};
  Batches<double> plain(images);
  CHECK(plain.get(0, 0).x[0] == 0.0);
  CHECK(plain.get(0, 0).x[1] == 0.2);
  CHECK(plain.get(0, 0).x[2] == 1.0);
  Batches<double> mixed(images, {.statistics = {{0.5}, {1.0, 2.0, 0.25}}});
  CHECK(mixed.get(0, 0).x[0] == -0.5);
  CHECK(mixed.get(0, 0).x[1] == (0.2 - 0.5) / 2.0);
  CHECK(mixed.get(0, 0).x[2] == 2.0);
}

TEST_CASE("batches: the same bits for any number of threads") {
  const Images images = made_up(300, 32, 32, 3);  // an image of 3072 pixels: a batch of 128 is cut into 26 chunks
  const data::Statistics statistics = data::mean_and_deviation(images);
  Batches<float> one(images, {.size = 128, .seed = 2, .statistics = statistics});
  for (const int count : {2, 3, 7}) {
    const Threads threads(count);
    Batches<float> many(images, {.size = 128, .seed = 2, .statistics = statistics, .threads = &threads});
    for (Index b = 0; b < one.count(); ++b) {
      const auto expected = one.get(4, b), got = many.get(4, b);
      CHECK(std::equal(expected.x.begin(), expected.x.end(), got.x.begin(), got.x.end()));
      CHECK(std::equal(expected.labels.begin(), expected.labels.end(), got.labels.begin(), got.labels.end()));
    }
  }
}

TEST_CASE("batches: into the caller's arrays, as images or as rows") {
  const Images images = made_up(10);
  Batches<float> batches(images, {.size = 4, .statistics = bytes_as_they_are()});
  Tensor<float> x({2, 2, 3, 2}), rows({2, 12});
  Tensor<std::int32_t> labels({2}), again({2});
  batches.fill(1, 2, x, labels);
  batches.fill(1, 2, rows, again);
  const auto expected = batches.get(1, 2);
  CHECK(std::equal(x.begin(), x.end(), expected.x.begin(), expected.x.end()));
  CHECK(std::equal(rows.begin(), rows.end(), expected.x.begin(), expected.x.end()));
  CHECK(std::equal(again.begin(), again.end(), expected.labels.begin(), expected.labels.end()));

  const char* message = "batches: expected x [2, 2, 3, 2] or [2, 12] and labels [2], got ";
  Tensor<float> narrow({2, 11}), full({4, 12});
  Tensor<std::int32_t> few({1});
  CHECK_THROWS_WITH_AS(batches.fill(1, 2, narrow, labels), (message + std::string("[2, 11] and [2]")).c_str(),
                       std::invalid_argument);
  CHECK_THROWS_WITH_AS(batches.fill(1, 2, full, labels), (message + std::string("[4, 12] and [2]")).c_str(),
                       std::invalid_argument);
  CHECK_THROWS_WITH_AS(batches.fill(1, 2, rows, few), (message + std::string("[2, 12] and [1]")).c_str(),
                       std::invalid_argument);
}

TEST_CASE("batches: an empty data set has none") {
  const Images images = made_up(0);
  Batches<float> batches(images);
  CHECK(batches.count() == 0);
  int seen = 0;
  for ([[maybe_unused]] const auto batch : batches.epoch(0)) ++seen;
  CHECK(seen == 0);
  CHECK_THROWS_WITH_AS(batches.get(0, 0), "batches: expected a number in [0, 0), got 0", std::invalid_argument);
}

TEST_CASE("batches: images without pixels, of which nothing can be moved or cut out") {
  for (const Shape& shape : {Shape{3, 0, 4, 1}, Shape{3, 4, 0, 1}}) {
    const Images images{"empty", Tensor<std::uint8_t>(shape), Tensor<std::uint8_t>({3}, {0, 1, 0}), 2};
    Batches<float> batches(images, {.size = 2, .shuffle = false, .shift = 1, .reflect = true, .flip = data::Flip::random, .cutout = 1});
    for (int again = 0; again < 2; ++again) {
      const auto batch = batches.get(0, 0);
      CHECK(batch.x.shape() == Shape{2, shape[1], shape[2], 1});
      CHECK((batch.labels[0] == 0 && batch.labels[1] == 1));
    }
  }
}

TEST_CASE("batches: refuses what is out of range") {
  const Images images = made_up(10);
  Batches<float> batches(images, {.size = 4});
  CHECK_THROWS_WITH_AS(batches.get(0, 3), "batches: expected a number in [0, 3), got 3", std::invalid_argument);
  CHECK_THROWS_WITH_AS(batches.get(0, -1), "batches: expected a number in [0, 3), got -1", std::invalid_argument);
  CHECK_THROWS_WITH_AS(batches.get(-1, 0), "batches: expected an epoch from 0 to 2^32 - 1, got -1",
                       std::invalid_argument);
  CHECK_THROWS_WITH_AS(batches.get(Index{1} << 32, 0), "batches: expected an epoch from 0 to 2^32 - 1, got 4294967296",
                       std::invalid_argument);
  CHECK(batches.get((Index{1} << 32) - 1, 0).size() == 4);
  CHECK_THROWS_WITH_AS(batches.epoch(0, 4), "batches: expected a first batch from 0 to 3, got 4",
                       std::invalid_argument);
  CHECK_THROWS_WITH_AS(batches.epoch(0, -1), "batches: expected a first batch from 0 to 3, got -1",
                       std::invalid_argument);
}

TEST_CASE("batches: refuses options that make no sense") {
  const Images images = made_up(10);
  const auto refuses = [&images](const BatchOptions& options, const char* message) {
    CHECK_THROWS_WITH_AS(Batches<float>(images, options), message, std::invalid_argument);
  };
  refuses({.size = 0}, "batches: expected at least 1 image a batch, got 0");
  refuses({.size = -3}, "batches: expected at least 1 image a batch, got -3");
  refuses({.statistics = {{0, 0, 0}, {1}}}, "batches: expected 1 or 2 means and deviations, got 3 and 1");
  refuses({.statistics = {{0}, {}}}, "batches: expected 1 or 2 means and deviations, got 1 and 0");
  refuses({.statistics = {{0.5}, {1, 0}}},
          "batches: expected a finite mean and a deviation above 0, got 0.5 and 0 for channel 1");
  refuses({.statistics = {{0}, {-1}}},
          "batches: expected a finite mean and a deviation above 0, got 0 and -1 for channel 0");
  refuses({.statistics = {{0}, {std::numeric_limits<double>::quiet_NaN()}}},
          "batches: expected a finite mean and a deviation above 0, got 0 and nan for channel 0");
  refuses({.statistics = {{std::numeric_limits<double>::infinity()}, {1}}},
          "batches: expected a finite mean and a deviation above 0, got inf and 1 for channel 0");
}

TEST_CASE("batches: refuses images and labels that do not belong together") {
  const Images images{"odd", Tensor<std::uint8_t>({3, 2, 2, 1}), Tensor<std::uint8_t>({2}), 1};
  CHECK_THROWS_WITH_AS(
      Batches<float>{images},
      "batches: expected pixels [count, height, width, channels] and labels [count], got [3, 2, 2, 1] and [2]",
      std::invalid_argument);
  const Images flat{"flat", Tensor<std::uint8_t>({3, 4}), Tensor<std::uint8_t>({3}), 1};
  for (const data::Statistics& statistics : {data::Statistics(), data::Statistics{{0, 0, 0}, {1, 1, 1}}}) {
    CHECK_THROWS_WITH_AS(
        Batches<float>(flat, {.statistics = statistics}),
        "batches: expected pixels [count, height, width, channels] and labels [count], got [3, 4] and [3]",
        std::invalid_argument);
  }
}

TEST_CASE("batches: shifted images") {
  // One image of 3 x 2 pixels with two channels: pixel values tell where they came from.
  data::Images images;
  images.pixels = Tensor<std::uint8_t>({1, 3, 2, 2}, {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12});
  images.labels = Tensor<std::uint8_t>({1});
  images.classes = 1;
  data::Batches<double> plain(images, {.size = 1}), shifted(images, {.size = 1, .seed = 3, .shift = 1});
  std::vector<int> moves(9);
  for (Index epoch = 0; epoch < 200; ++epoch) {
    const Stream stream{3, Purpose::augmentation, 0, static_cast<std::uint32_t>(epoch)};
    const Index down = static_cast<Index>(stream.word(0) % 3) - 1, right = static_cast<Index>(stream.word(1) % 3) - 1;
    ++moves[static_cast<std::size_t>((down + 1) * 3 + right + 1)];
    const auto x = shifted.get(epoch, 0).x;
    const auto original = plain.get(0, 0).x;
    for (Index row = 0; row < 3; ++row) {
      for (Index column = 0; column < 2; ++column) {
        const Index r = row - down, c = column - right;
        const bool inside = r >= 0 && r < 3 && c >= 0 && c < 2;
        for (Index channel = 0; channel < 2; ++channel) {
          CHECK(x[(row * 2 + column) * 2 + channel] == (inside ? original[(r * 2 + c) * 2 + channel] : 0.0));
        }
      }
    }
  }
  CHECK(*std::min_element(moves.begin(), moves.end()) > 0);  // each has probability 1/9: missing in 200 is below 1e-9
  CHECK_THROWS_WITH_AS(data::Batches<double>(images, {.shift = -1}), "batches: expected a shift of 0 to 1024 pixels, got -1",
                       std::invalid_argument);
}

namespace {

/// One image of 5 x 4 pixels and two channels, all pixels different.
Images one_image() {
  Images images{"one", Tensor<std::uint8_t>({1, 5, 4, 2}), Tensor<std::uint8_t>({1}), 1};
  for (Index i = 0; i < images.pixels.size(); ++i) images.pixels[i] = static_cast<std::uint8_t>(i + 1);
  return images;
}

}  // namespace

TEST_CASE("batches: mirrored images") {
  const Images images = one_image();
  Batches<double> plain(images, {.size = 1}), alternating(images, {.size = 1, .seed = 3, .flip = data::Flip::alternating}),
      random(images, {.size = 1, .seed = 3, .flip = data::Flip::random});
  const auto mirrored = [&](View<const double> x) {  // whether it is, all pixels agreeing
    const View<const double> original = plain.get(0, 0).x;
    int as_is = 0, exchanged = 0;
    for (Index i = 0; i < 40; ++i) {
      const Index row = i / 8, column = i / 2 % 4, channel = i % 2;
      as_is += x[i] == original[i];
      exchanged += x[i] == original[(row * 4 + 3 - column) * 2 + channel];
    }
    CHECK(as_is + exchanged == 40);  // no pixel stays where it is in a row of four
    return exchanged == 40;
  };
  const bool first = mirrored(alternating.get(0, 0).x);
  int times = 0;
  for (Index epoch = 0; epoch < 200; ++epoch) {
    CHECK(mirrored(alternating.get(epoch, 0).x) == (first != (epoch % 2 == 1)));
    times += mirrored(random.get(epoch, 0).x);
  }
  CHECK(std::abs(times - 100) < 35);  // five standard deviations
}

TEST_CASE("batches: images that move mirror their edge") {
  const Images images = one_image();
  Batches<double> plain(images, {.size = 1}), moved(images, {.size = 1, .seed = 3, .shift = 2, .reflect = true});
  const View<const double> original = plain.get(0, 0).x;
  for (Index epoch = 0; epoch < 30; ++epoch) {
    const Stream stream{3, Purpose::augmentation, 0, static_cast<std::uint32_t>(epoch)};
    const Index down = static_cast<Index>(stream.word(0) % 5) - 2, right = static_cast<Index>(stream.word(1) % 5) - 2;
    const auto inside = [](Index i, Index size) { return i < 0 ? -i : i >= size ? 2 * size - 2 - i : i; };
    const View<const double> x = moved.get(epoch, 0).x;
    for (Index i = 0; i < 40; ++i) {
      const Index row = inside(i / 8 - down, 5), column = inside(i / 2 % 4 - right, 4);
      CHECK(x[i] == original[(row * 4 + column) * 2 + i % 2]);
    }
  }
}

TEST_CASE("batches: a square cut out of images") {
  const Images images = one_image();
  Batches<double> cut(images, {.size = 1, .seed = 3, .cutout = 3});
  for (Index epoch = 0; epoch < 30; ++epoch) {
    const Stream stream{3, Purpose::augmentation, 2, static_cast<std::uint32_t>(epoch)};
    const Index centre_row = static_cast<Index>(stream.word(0) % 5), centre_column = static_cast<Index>(stream.word(1) % 4);
    const View<const double> x = cut.get(epoch, 0).x;
    for (Index i = 0; i < 40; ++i) {
      const bool gone = std::abs(i / 8 - centre_row) <= 1 && std::abs(i / 2 % 4 - centre_column) <= 1;
      CHECK((x[i] == 0) == gone);
    }
  }
  CHECK_THROWS_WITH_AS(Batches<double>(images, {.cutout = -1}), "batches: expected a cutout of 0 to 1024 pixels, got -1",
                       std::invalid_argument);
}

TEST_CASE("batches: all changes together, by the numbers of the images and not by their places in the batch") {
  const Images images = made_up(150, 7, 6, 2);
  const BatchOptions plain{.size = 32, .seed = 9, .statistics = {{0.25}, {0.5}}};
  BatchOptions changed = plain;
  changed.shift = 2;
  changed.flip = data::Flip::alternating;
  changed.cutout = 3;
  for (const bool reflect : {false, true}) {
    changed.reflect = reflect;
    const Threads threads(3);
    BatchOptions shared = changed;
    shared.threads = &threads;
    Batches<float> one(images, changed), many(images, shared);
    for (const std::uint32_t epoch : {0, 5}) {
      const auto order = permutation({9, Purpose::order, 0, epoch}, 150);
      const auto word = [](std::uint32_t what, std::uint32_t e, std::uint64_t number) {
        return static_cast<Index>(Stream{9, Purpose::augmentation, what, e}.word(number));
      };
      for (Index b = 0; b < one.count(); ++b) {
        const auto batch = one.get(epoch, b), again = many.get(epoch, b);
        CHECK(std::equal(batch.x.begin(), batch.x.end(), again.x.begin(), again.x.end()));
        Index wrong = 0;
        for (Index i = 0; i < batch.size(); ++i) {
          const auto n = order[static_cast<std::size_t>(b * 32 + i)];
          const Index down = word(0, epoch, 2 * n) % 5 - 2, right = word(0, epoch, 2 * n + 1) % 5 - 2;
          const bool mirrored = (word(1, 0, n) + Index{epoch}) % 2 != 0;
          const Index centre_row = word(2, epoch, 2 * n) % 7, centre_column = word(2, epoch, 2 * n + 1) % 6;
          wrong += batch.labels[i] != images.labels[n];
          for (Index row = 0; row < 7; ++row) {
            for (Index column = 0; column < 6; ++column) {
              // The image is mirrored, then moved, its edge mirrored or black outside, then cut.
              Index r = row - down, c = column - right;
              const bool outside = r < 0 || r >= 7 || c < 0 || c >= 6;
              if (r < 0 || r >= 7) r = r < 0 ? -r : 12 - r;
              if (c < 0 || c >= 6) c = c < 0 ? -c : 10 - c;
              if (mirrored) c = 5 - c;
              for (Index channel = 0; channel < 2; ++channel) {
                const int pixel = outside && !reflect ? 0 : images.pixels[((n * 7 + r) * 6 + c) * 2 + channel];
                const bool cut = std::abs(row - centre_row) <= 1 && std::abs(column - centre_column) <= 1;
                const float expected = cut ? 0 : static_cast<float>((pixel / 255.0 - 0.25) / 0.5);
                wrong += batch.x[((i * 7 + row) * 6 + column) * 2 + channel] != expected;
              }
            }
          }
        }
        CHECK(wrong == 0);
      }
    }
  }
}
