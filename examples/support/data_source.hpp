/// \file
/// Where data come from: --data, $TOMBOLA_DATA, the user's cache, or the subset of MNIST in the repository; and reading them.
#pragma once

#include <algorithm>
#include <filesystem>
#include <initializer_list>
#include <string>
#include <system_error>

#include "support/environment.hpp"
#include "support/networks.hpp"
#include "tombola/data/cifar.hpp"
#include "tombola/data/mnist.hpp"

namespace examples {

struct DataSource {
  std::string folder;
  bool is_subset = false;  ///< results on the subset say so
};

/// The data set whose files are in a folder: mnist, cifar10, or nothing; `preferred`, if it holds both.
inline std::string format_of(const std::string& folder, const std::string& preferred) {
  const auto holds = [&folder](std::initializer_list<const char*> files) {
    std::error_code ignored;  // what cannot be looked at is not there
    return std::any_of(files.begin(), files.end(), [&](const char* file) { return std::filesystem::exists(folder + file, ignored); });
  };
  const bool cifar10 = holds({"/test_batch.bin", "/test_batch.bin.gz", "/cifar-10-batches-bin"});
  const bool mnist = holds({"/t10k-images-idx3-ubyte", "/t10k-images-idx3-ubyte.gz", "/t10k-images.idx3-ubyte", "/t10k-images.idx3-ubyte.gz"});
  if (cifar10 && mnist) return preferred;
  return cifar10 ? "cifar10" : mnist ? "mnist" : "";
}

/// The first of these that is there; an explicit folder is taken as it is, and refused later if it is not there.
/// `name`: mnist or cifar10. Throws `std::runtime_error` if there is none.
inline DataSource find_data(const std::string& given, const std::string& name) {
  if (!given.empty()) return {given};
  const auto is_there = [&name](const std::string& folder) { return format_of(folder, name) == name; };
  if (const std::string root = environment("TOMBOLA_DATA"); !root.empty()) {
    std::error_code ignored;
    const std::string folder = root + "/" + name;
    const bool refuse_later = name == "mnist" && std::filesystem::is_directory(folder, ignored);  // rather than search on the subset unasked
    if (refuse_later || is_there(folder)) return {folder};
  }
  const std::string cache = cached(name);
  if (!cache.empty() && is_there(cache)) return {cache};
  if (name == "mnist") return {TOMBOLA_MNIST_SUBSET, true};
  throw std::runtime_error(concat("--data: expected a folder with CIFAR-10, or files in $TOMBOLA_DATA/", name, " or the user's cache ", cached_in_words(name),
                                  " (tools/fetch-data ", name, "), got none"));
}

/// Reads a folder in the format that its files have; `name` is the one that is expected, if it cannot be told.
inline data::TrainAndTest load_images(const std::string& folder, const std::string& name) {
  const std::string format = format_of(folder, name);
  return (format.empty() ? name : format) == "cifar10" ? data::load_cifar10(folder) : data::load_mnist(folder);
}

/// "28,28,1": the property `image`.
inline std::string image_property(const data::Images& images) {
  const Shape& shape = images.pixels.shape();
  return concat(shape[1], ',', shape[2], ',', shape[3]);
}

}  // namespace examples
