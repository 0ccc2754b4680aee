/// \file
/// MNIST and every data set published in its format (Fashion-MNIST, Kuzushiji-MNIST, ...), raw or compressed by gzip.
/// Needs zlib (`-lz`), so the umbrella header leaves it out.
#pragma once

#include <algorithm>
#include <string>

#include "tombola/data/dataset.hpp"
#include "tombola/data/gzip.hpp"
#include "tombola/data/idx.hpp"

namespace tombola::inline TOMBOLA_ISA::data {

namespace detail {

/// "folder/train-images-idx3-ubyte" in whichever of its four spellings is there.
inline std::string find_idx(const std::string& folder, const std::string& stem, const std::string& suffix) {
  std::string tried;
  for (const char* ending : {"", ".gz"}) {
    for (const char* separator : {"-", "."}) {
      const std::string file = concat(stem, separator, suffix, ending);
      const std::string path = path_in(folder, file);
      if (path_exists(path)) return path;
      tried = tried.empty() ? file : concat(tried, ", ", file);
    }
  }
  throw std::runtime_error(concat(folder, ": found none of ", tried));
}

inline Images load_idx_pair(const std::string& folder, const std::string& stem, const std::string& name) {
  const std::string image_path = find_idx(folder, concat(stem, "-images"), "idx3-ubyte");
  const std::string label_path = find_idx(folder, concat(stem, "-labels"), "idx1-ubyte");
  const Bytes image_bytes = read_maybe_gzip(image_path);
  const auto pixels = parse_idx(image_bytes, image_path, 3);
  const Shape& shape = pixels.shape();
  const Bytes label_bytes = read_maybe_gzip(label_path, 4096 + 2 * static_cast<std::uint64_t>(shape[0]));  // more is no file of these labels
  const auto labels = parse_idx(label_bytes, label_path, 1);
  if (shape[0] != labels.size())
    throw std::runtime_error(concat(image_path, " and ", label_path, ": expected as many labels as images, got ",
                                    shape[0], " images and ", labels.size(), " labels"));
  return {name, Tensor<std::uint8_t>::copy_of(pixels.reshape({shape[0], shape[1], shape[2], 1})),
          Tensor<std::uint8_t>::copy_of(labels), 0};
}

inline void check_labels(const Images& images, const std::string& folder, const std::string& stem) {
  constexpr Index header = 8;
  for (Index i = 0; i < images.count(); ++i)
    if (images.labels[i] >= images.classes)
      refuse_file(find_idx(folder, stem, "idx1-ubyte"), static_cast<std::uint64_t>(header + i), concat("a label below ", images.classes),
                  concat(int{images.labels[i]}, " (label ", i, ")"));
}

}  // namespace detail

/// The training and the test set in a folder: `train-images-idx3-ubyte`, `train-labels-idx1-ubyte`, `t10k-images-...`
/// and `t10k-labels-...`, each also with a dot in place of the `-` before `idx`, and with `.gz` behind; a raw file is
/// preferred. Images of any size, [count, height, width, 1].
/// `classes` 1 to 256, or 0 for one more than the largest training label.
/// Throws `std::runtime_error` if the folder or a file is missing (naming what was tried), a file is malformed as
/// `parse_idx` and `gunzip` say (offsets count inflated bytes once a file is intact as gzip), images and labels differ
/// in number, training and test images differ in size, or a label is not below `classes`.
inline TrainAndTest load_mnist(const std::string& folder, int classes = 0) {
  require(classes >= 0 && classes <= 256, "load_mnist: expected 1 to 256 classes, or 0 to count them, got ", classes);
  require_folder(folder, "train-images-idx3-ubyte and the other files of an MNIST-format data set");
  TrainAndTest sets{detail::load_idx_pair(folder, "train", "train"), detail::load_idx_pair(folder, "t10k", "test")};
  auto& [train, test] = sets;
  const Shape &wanted = train.pixels.shape(), &got = test.pixels.shape();
  if (wanted[1] != got[1] || wanted[2] != got[2])
    throw std::runtime_error(concat(
        detail::find_idx(folder, "t10k-images", "idx3-ubyte"), ": expected images of ", wanted[1], " x ", wanted[2],
        " pixels as in ", detail::find_idx(folder, "train-images", "idx3-ubyte"), ", got ", got[1], " x ", got[2]));
  const int counted = 1 + *std::max_element(train.labels.begin(), train.labels.end());
  train.classes = test.classes = classes == 0 ? counted : classes;
  detail::check_labels(train, folder, "train-labels");
  detail::check_labels(test, folder, "t10k-labels");
  return sets;
}

}  // namespace tombola::inline TOMBOLA_ISA::data
