/// \file
/// Mini-batches: images in a reproducible order, normalised as they are handed out.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <iterator>
#include <vector>

#include "tombola/core/parallel.hpp"
#include "tombola/core/random.hpp"
#include "tombola/data/dataset.hpp"

namespace tombola::inline TOMBOLA_ISA::data {

/// Which images are mirrored: each with probability 1/2 in every epoch, or each in every other epoch, beginning at random.
/// Source of the latter: Jordan, "94% on CIFAR-10 in 3.29 seconds on a single GPU", arXiv 2404.00498.
enum class Flip : std::uint8_t { none, random, alternating };

struct BatchOptions {
  Index size = 128;            ///< images in a batch; the last one of an epoch has what is left
  std::uint64_t seed = 1;      ///< of the order
  bool shuffle = true;         ///< false: every epoch in the order of the data set
  Index shift = 0;             ///< moves each image by up to this many pixels up or down and left or right (augmentation)
  bool reflect = false;        ///< what moves in is the image mirrored at its edge, not black
  Flip flip = Flip::none;      ///< exchanges left and right of some images
  Index cutout = 0;            ///< sets a square of this side, around any pixel, to the mean
  Statistics statistics = {};  ///< what pixels are normalised by; the default leaves them from 0 to 1
  const Threads* threads = nullptr;  ///< that share the work, borrowed; null: the caller alone
};

/// A mini-batch. Borrowed from what made it (`Batches`, `Prefetch`, `TextBatches`), until that makes the next one.
template <class T>
struct Batch {
  Index number = 0;                 ///< within its epoch
  View<const T> x;                  ///< images [size, height, width, channels]; text: see `TextBatches`
  View<const std::int32_t> labels;  ///< [size]

  Index size() const noexcept { return labels.size(); }
  /// x as one row an image: [size, height * width * channels].
  View<const T> rows() const { return x.reshape({size(), size() == 0 ? 0 : x.size() / size()}); }
};

/// The mini-batches of a data set: x = (pixel / 255 - mean[channel]) / deviation[channel], computed in double, rounded
/// once to T. Epoch e takes the images in the order `permutation({seed, Purpose::order, 0, e}, count)`: batch b of
/// epoch e is a function of the options alone, whatever was asked for before, so a run resumes anywhere.
/// With `shift` s, image i of epoch e moves down by w0 mod (2 s + 1) - s and right by w1 mod (2 s + 1) - s pixels, w0 and w1 being
/// words 2 i and 2 i + 1 of {seed, Purpose::augmentation, 0, e}; what moves in is pixel 0, what moves out is lost. Before, it is
/// mirrored if word i of stream 1 of e (`alternating`: of epoch 0, plus e) is odd; a cut square lies around pixel (w0 mod height,
/// w1 mod width) of words 2 i and 2 i + 1 of stream 2.
///
///     for (const auto batch : batches.epoch(e)) step(batch.rows(), batch.labels);
///
/// Borrows the images. Not for use by two user threads at once.
template <class T>
class Batches {
 public:
  /// Throws `std::invalid_argument` unless pixels have rank 4, the size is at least 1, the statistics have one entry or one a
  /// channel, all finite, each deviation above zero, and the labels are as many as the images.
  explicit Batches(const Images& images, const BatchOptions& options = {})
      : images_(&checked(images)),
        options_(options),
        table_(table(images, options)) {
    require(options.size >= 1, "batches: expected at least 1 image a batch, got ", options.size);
    require(options.shift >= 0 && options.shift <= 1024, "batches: expected a shift of 0 to 1024 pixels, got ",
            options.shift);
    require(options.cutout >= 0 && options.cutout <= 1024, "batches: expected a cutout of 0 to 1024 pixels, got ", options.cutout);
  }
  explicit Batches(const Images&& images, const BatchOptions& options = {}) = delete;  // they would be gone

  /// Batches in an epoch.
  Index count() const noexcept { return images_->count() / options_.size + (images_->count() % options_.size != 0); }

  /// Images in a batch. Throws `std::invalid_argument` unless 0 <= number < count.
  Index size(Index number) const {
    require(number >= 0 && number < count(), "batches: expected a number in [0, ", count(), "), got ", number);
    return std::min(options_.size, images_->count() - number * options_.size);
  }

  /// [size, height, width, channels] of a batch. Throws likewise.
  Shape shape(Index number) const {
    const Shape& all = images_->pixels.shape();
    return {size(number), all[1], all[2], all[3]};
  }

  /// One batch, valid until the next call.
  /// Throws `std::invalid_argument` unless 0 <= epoch < 2^32 and 0 <= number < count.
  Batch<T> get(Index epoch, Index number) {
    const Index n = size(number);
    if (labels_.size() == 0) {  // the one that comes second: memory may end in between
      const Shape most = shape(0);
      x_ = Tensor<T>::uninitialized(most);
      labels_ = Tensor<std::int32_t>::uninitialized({most[0]});
    }
    const View<T> x = x_.view().slice(0, n);
    const View<std::int32_t> labels = labels_.view().slice(0, n);
    fill(epoch, number, x, labels);
    return {number, x, labels};
  }

  /// Writes one batch into the caller's arrays: x [size, height, width, channels] or [size, features], labels [size].
  /// Throws `std::invalid_argument` as `get` does, or if a shape is another one.
  void fill(Index epoch, Index number, View<T> x, View<std::int32_t> labels) {
    const Index n = size(number), features = images_->features(), first = number * options_.size;
    const Shape image = shape(number), row{n, features};
    require((x.shape() == image || x.shape() == row) && labels.shape() == Shape{n}, "batches: expected x ", image,
            " or ", row, " and labels ", Shape{n}, ", got ", x.shape(), " and ", labels.shape());
    arrange(epoch);
    const Index some =
        std::max<Index>(1, 16384 / std::max<Index>(1, features));  // images that repay a chunk's overhead
    const Threads alone(1);
    parallel_ranges(options_.threads == nullptr ? alone : *options_.threads, n, some, [&](Range range) {
      for (Index i = range.first; i < range.last; ++i) {
        const Index from = options_.shuffle ? Index{order_[static_cast<std::size_t>(first + i)]} : first + i;
        labels[i] = images_->labels[from];
        if (features == 0 || (options_.shift == 0 && options_.flip == Flip::none && options_.cutout == 0)) {
          normalise(images_->pixels.data() + from * features, x.data() + i * features, features);
        } else {
          normalise_changed(change(epoch, from), from, x.data() + i * features);
        }
      }
    });
  }

  class Epoch;
  /// The batches of an epoch from batch `first` on, one after the other.
  /// Throws `std::invalid_argument` unless 0 <= first <= count, and as `get` does once it is walked through.
  Epoch epoch(Index epoch, Index first = 0) {
    require(first >= 0 && first <= count(), "batches: expected a first batch from 0 to ", count(), ", got ", first);
    return Epoch(*this, epoch, first);
  }

 private:
  static const Images& checked(const Images& images) {
    require(images.pixels.shape().rank() == 4 && images.labels.shape() == Shape{images.pixels.shape()[0]},
            "batches: expected pixels [count, height, width, channels] and labels [count], got ", images.pixels.shape(),
            " and ", images.labels.shape());
    return images;
  }
  /// 256 entries a channel, for the value of every byte.
  static Tensor<T> table(const Images& images, const BatchOptions& options) {
    const auto& [mean, deviation] = options.statistics;
    const auto channels = static_cast<std::size_t>(images.channels());
    const auto serves = [channels](std::size_t entries) { return entries == 1 || entries == channels; };
    require(serves(mean.size()) && serves(deviation.size()), "batches: expected 1 or ", channels,
            " means and deviations, got ", mean.size(), " and ", deviation.size());
    auto table = Tensor<T>::uninitialized({images.channels(), 256});
    T* value = table.data();
    for (std::size_t channel = 0; channel < channels; ++channel) {
      const double m = mean[mean.size() == 1 ? 0 : channel], d = deviation[deviation.size() == 1 ? 0 : channel];
      require(std::isfinite(m) && std::isfinite(d) && d > 0,
              "batches: expected a finite mean and a deviation above 0, got ", m, " and ", d, " for channel ", channel);
      for (int pixel = 0; pixel < 256; ++pixel) *value++ = static_cast<T>((pixel / 255.0 - m) / d);
    }
    return table;
  }

  void normalise(const std::uint8_t* pixels, T* x, Index features) const noexcept {
    const Index channels = images_->channels();
    for (Index channel = 0; channel < channels; ++channel) {
      const T* value = table_.data() + 256 * channel;
      for (Index i = channel; i < features; i += channels) x[i] = value[pixels[i]];
    }
  }

  /// How one image is changed in one epoch.
  struct Change {
    Index down = 0, right = 0;      ///< moved by
    bool mirrored = false;          ///< left and right exchanged, before it is moved
    Range cut_rows{0, 0}, cut_columns{0, 0};  ///< of the result, set to 0 (the mean)
  };

  [[gnu::noinline]] Index word(std::uint32_t what, Index epoch, Index number) const noexcept {
    const Stream stream{options_.seed, Purpose::augmentation, what, static_cast<std::uint32_t>(epoch)};
    return static_cast<Index>(stream.word(static_cast<std::uint64_t>(number)));
  }

  [[gnu::noinline]] Change change(Index epoch, Index image) const noexcept {
    const Shape& all = images_->pixels.shape();
    Change made;
    if (options_.shift > 0) {
      const Index reach = 2 * options_.shift + 1;
      made.down = word(0, epoch, 2 * image) % reach - options_.shift;
      made.right = word(0, epoch, 2 * image + 1) % reach - options_.shift;
    }
    if (options_.flip == Flip::random) made.mirrored = word(1, epoch, image) % 2 != 0;
    if (options_.flip == Flip::alternating) made.mirrored = (word(1, 0, image) + epoch) % 2 != 0;
    if (options_.cutout > 0) {
      const auto part = [this](Index centre, Index size) {
        const Index first = centre - options_.cutout / 2;
        return Range{std::max<Index>(0, first), std::min(size, first + options_.cutout)};
      };
      made.cut_rows = part(word(2, epoch, 2 * image) % all[1], all[1]);
      made.cut_columns = part(word(2, epoch, 2 * image + 1) % all[2], all[2]);
    }
    return made;
  }

  /// Where a pixel outside of [0, size) comes from: -1 is black.
  Index source(Index i, Index size) const noexcept {
    if (i >= 0 && i < size) return i;
    if (!options_.reflect) return -1;
    return std::clamp<Index>(i < 0 ? -i : 2 * size - 2 - i, 0, size - 1);
  }

  [[gnu::noinline]] void normalise_changed(const Change& change, Index image, T* x) const noexcept {
    const Shape& all = images_->pixels.shape();
    const Index height = all[1], width = all[2], channels = all[3];
    const std::uint8_t* pixels = images_->pixels.data() + image * height * width * channels;
    const auto in = [](const Range& range, Index i) { return i >= range.first && i < range.last; };
    for (Index row = 0; row < height; ++row) {
      const Index r = source(row - change.down, height);
      for (Index column = 0; column < width; ++column, x += channels) {
        Index c = source(column - change.right, width);
        if (change.mirrored && c >= 0) c = width - 1 - c;
        const bool cut = in(change.cut_rows, row) && in(change.cut_columns, column);
        for (Index channel = 0; channel < channels; ++channel) {
          const std::uint8_t pixel = r >= 0 && c >= 0 ? pixels[(r * width + c) * channels + channel] : std::uint8_t{0};
          x[channel] = cut ? T(0) : table_[256 * channel + pixel];
        }
      }
    }
  }

  void arrange(Index epoch) {
    require(epoch >= 0 && epoch < Index{1} << 32, "batches: expected an epoch from 0 to 2^32 - 1, got ", epoch);
    if (!options_.shuffle || epoch == arranged_) return;
    order_ = permutation({options_.seed, Purpose::order, 0, static_cast<std::uint32_t>(epoch)}, images_->count());
    arranged_ = epoch;
  }

  const Images* images_;
  BatchOptions options_;
  Tensor<T> table_;  ///< [channels, 256]
  std::vector<std::uint32_t> order_;
  Index arranged_ = -1;
  Tensor<T> x_;
  Tensor<std::int32_t> labels_;
};

/// For a range-based for loop; each step makes the next batch.
template <class T>
class Batches<T>::Epoch {
 public:
  class Iterator {
   public:
    using value_type = Batch<T>;
    using difference_type = std::ptrdiff_t;
    using iterator_concept = std::input_iterator_tag;

    Iterator(Batches* batches, Index epoch, Index number) noexcept
        : batches_(batches),
          epoch_(epoch),
          number_(number) {}
    Batch<T> operator*() const { return batches_->get(epoch_, number_); }
    Iterator& operator++() noexcept {
      ++number_;
      return *this;
    }
    void operator++(int) noexcept { ++number_; }
    friend bool operator==(const Iterator& iterator, std::default_sentinel_t) noexcept {
      return iterator.number_ == iterator.batches_->count();
    }

   private:
    Batches* batches_;
    Index epoch_, number_;
  };

  Iterator begin() const noexcept { return {batches_, epoch_, first_}; }
  std::default_sentinel_t end() const noexcept { return {}; }

 private:
  friend class Batches;
  Epoch(Batches& batches, Index epoch, Index first) noexcept : batches_(&batches), epoch_(epoch), first_(first) {}

  Batches* batches_;
  Index epoch_, first_;
};

}  // namespace tombola::inline TOMBOLA_ISA::data
