/// \file
/// Labelled images in memory, their statistics, and a part set aside for validation.
#pragma once

#include <algorithm>
#include <cmath>
#include <string>
#include <vector>

#include "tombola/core/tensor.hpp"

namespace tombola::inline TOMBOLA_ISA::data {

/// Labelled images as they are stored: bytes. A loader has checked that every label is below `classes`.
struct Images {
  std::string name;             ///< for messages and reports, for example "train"
  Tensor<std::uint8_t> pixels;  ///< [count, height, width, channels]
  Tensor<std::uint8_t> labels;  ///< [count]
  int classes = 0;

  Index count() const noexcept { return labels.size(); }
  Index channels() const noexcept { return pixels.shape().last(); }
  /// Pixels of one image, all channels.
  Index features() const noexcept { return count() == 0 ? 0 : pixels.size() / count(); }
};

struct TrainAndTest {
  Images train, test;
};

/// A copy of images [first, last). Throws `std::invalid_argument` unless 0 <= first <= last <= count.
inline Images subset(const Images& images, Index first, Index last, std::string name) {
  require(0 <= first && first <= last && last <= images.count(), "subset: expected a range within [0, ", images.count(), ") of ", images.name, ", got [",
          first, ", ", last, ")");
  return {std::move(name), Tensor<std::uint8_t>::copy_of(images.pixels.view().slice(first, last)),
          Tensor<std::uint8_t>::copy_of(images.labels.view().slice(first, last)), images.classes};
}

struct TrainAndValidation {
  Images train, validation;
};

/// The last `validation` images (a number of images) are set aside, the others are for training; both are copies.
/// Throws `std::invalid_argument` unless 0 <= validation < count.
inline TrainAndValidation split(const Images& images, Index validation) {
  const Index count = images.count();
  require(validation >= 0 && validation < count, "split: expected 0 to ", count - 1, " of the ", count, " images of ",
          images.name, " for validation, got ", validation);
  return {subset(images, 0, count - validation, images.name), subset(images, count - validation, count, "validation")};
}

/// How many images carry each label; `classes` numbers.
inline std::vector<Index> class_counts(const Images& images) {
  std::vector<Index> counts(static_cast<std::size_t>(images.classes));
  for (const std::uint8_t label : images.labels) ++counts.at(label);
  return counts;
}

/// Of pixel / 255, so from 0 to 1: one number a channel, or a single one that serves every channel.
struct Statistics {
  std::vector<double> mean = {0.0};
  std::vector<double> deviation = {1.0};
};

/// mean = sum / n, deviation = sqrt(n sum of squares - sum^2) / n (of the population), over the pixels of each channel,
/// in units of pixel / 255. The sums are exact integers and each operation on them rounds once, so that the result has
/// the same bits on any machine and for any compiler. Throws `std::invalid_argument` if there are no pixels.
inline Statistics mean_and_deviation(const Images& images) {
  __extension__ typedef unsigned __int128 Wide;
  require(images.pixels.size() > 0, "mean_and_deviation: expected at least one pixel in ", images.name, ", got ",
          images.pixels.shape());
  const Index channels = images.channels();
  const auto n = static_cast<std::uint64_t>(images.pixels.shape().rows());
  Statistics statistics{{}, {}};
  for (Index channel = 0; channel < channels; ++channel) {
    std::uint64_t sum = 0, squares = 0;
    for (Index i = channel; i < images.pixels.size(); i += channels) {
      const std::uint64_t pixel = images.pixels[i];
      sum += pixel;
      squares += pixel * pixel;
    }
    const auto spread = static_cast<double>(Wide{n} * squares - Wide{sum} * sum);
    statistics.mean.push_back(static_cast<double>(sum) / static_cast<double>(255 * n));
    statistics.deviation.push_back(std::sqrt(spread) / static_cast<double>(255 * n));
  }
  return statistics;
}

}  // namespace tombola::inline TOMBOLA_ISA::data
