/// \file
/// CIFAR-10 in its binary version, raw or compressed by gzip. Needs zlib (`-lz`), so the umbrella header leaves it out.
#pragma once

#include <string>

#include "tombola/data/dataset.hpp"
#include "tombola/data/gzip.hpp"

namespace tombola::inline TOMBOLA_ISA::data {

namespace detail {

inline constexpr Index cifar_side = 32, cifar_channels = 3, cifar_plane = cifar_side * cifar_side;
inline constexpr Index cifar_record = 1 + cifar_channels * cifar_plane;

/// "folder/name" or "folder/name.gz".
inline std::string find_cifar(const std::string& folder, const std::string& name) {
  for (const char* ending : {"", ".gz"}) {
    const std::string path = path_in(folder, name + ending);
    if (path_exists(path)) return path;
  }
  throw std::runtime_error(concat(folder, ": found none of ", name, ", ", name, ".gz"));
}

/// The records of one file, from image `first` of `images` on: a label, then the red, green and blue plane.
inline void read_cifar(const std::string& path, Index count, Index first, Images& images) {
  const auto expected = static_cast<std::uint64_t>(count * cifar_record);
  const Bytes bytes = read_maybe_gzip(path, 4096 + expected + expected / 1024);  // what does not shrink is larger as gzip
  if (bytes.size() != expected) refuse_file(path, bytes.size(), concat(expected, " bytes, ", count, " images"), concat(bytes.size()));
  for (Index i = 0; i < count; ++i) {
    const std::uint8_t* record = bytes.data() + i * cifar_record;
    if (record[0] > 9) {
      refuse_file(path, static_cast<std::uint64_t>(i * cifar_record), "a label below 10", concat(int{record[0]}, " (image ", i, ")"));
    }
    images.labels[first + i] = record[0];
    std::uint8_t* pixels = images.pixels.data() + (first + i) * cifar_channels * cifar_plane;
    for (Index channel = 0; channel < cifar_channels; ++channel) {
      for (Index pixel = 0; pixel < cifar_plane; ++pixel) pixels[pixel * cifar_channels + channel] = record[1 + channel * cifar_plane + pixel];
    }
  }
}

inline Images cifar_images(const std::string& name, Index count) {
  return {name, Tensor<std::uint8_t>::uninitialized({count, cifar_side, cifar_side, cifar_channels}),
          Tensor<std::uint8_t>::uninitialized({count}), 10};
}

}  // namespace detail

/// The training and the test set in a folder: `data_batch_1.bin` to `data_batch_5.bin` and `test_batch.bin`, each also with `.gz` behind
/// (a raw file is preferred), or all of them in its folder `cifar-10-batches-bin`. Images [count, 32, 32, 3], red, green and blue.
/// `batch`: images in a file.
/// Throws `std::runtime_error` if the folder or a file is missing, a file has another size, or a label is not below 10.
/// Source: Krizhevsky, "Learning multiple layers of features from tiny images", 2009.
inline TrainAndTest load_cifar10(std::string folder, Index batch = 10000) {
  require(batch >= 1 && batch <= 1000000, "load_cifar10: expected 1 to 1000000 images in a file, got ", batch);
  require_folder(folder, "data_batch_1.bin and the other files of CIFAR-10");
  const std::string inner = folder + "/cifar-10-batches-bin";
  if (is_folder(inner)) folder = inner;
  TrainAndTest sets{detail::cifar_images("train", 5 * batch), detail::cifar_images("test", batch)};
  for (Index file = 0; file < 5; ++file) {
    detail::read_cifar(detail::find_cifar(folder, concat("data_batch_", file + 1, ".bin")), batch, file * batch, sets.train);
  }
  detail::read_cifar(detail::find_cifar(folder, "test_batch.bin"), batch, 0, sets.test);
  return sets;
}

}  // namespace tombola::inline TOMBOLA_ISA::data
