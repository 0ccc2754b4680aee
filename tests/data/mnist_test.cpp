#include "tombola/data/mnist.hpp"

#include <doctest/doctest.h>

#include <cstdlib>
#include <filesystem>

#include "data/compress.hpp"
#include "support/temporary_folder.hpp"

using namespace tombola;
using data::load_mnist;
using test_support::compress;
using test_support::TemporaryFolder;

namespace {

void append_big(Bytes& bytes, std::uint32_t number) {
  for (int shift = 24; shift >= 0; shift -= 8) bytes.push_back(static_cast<std::uint8_t>(number >> shift));
}

/// `count` images of 3 x 2 pixels 0, 1, 2, ...
Bytes image_file(std::uint32_t count, std::uint32_t height = 3, std::uint32_t width = 2) {
  Bytes bytes;
  for (const std::uint32_t number : {0x803u, count, height, width}) append_big(bytes, number);
  for (std::uint32_t i = 0; i < count * height * width; ++i) bytes.push_back(static_cast<std::uint8_t>(i));
  return bytes;
}

Bytes label_file(const Bytes& labels) {
  Bytes bytes;
  append_big(bytes, 0x801);
  append_big(bytes, static_cast<std::uint32_t>(labels.size()));
  bytes.insert(bytes.end(), labels.begin(), labels.end());
  return bytes;
}

/// Four training and two test images of classes 0 to 3.
void write_set(const TemporaryFolder& folder) {
  folder.write("train-images-idx3-ubyte", image_file(4));
  folder.write("train-labels-idx1-ubyte", label_file({3, 0, 1, 1}));
  folder.write("t10k-images-idx3-ubyte", image_file(2));
  folder.write("t10k-labels-idx1-ubyte", label_file({2, 0}));
}

/// The folder of real MNIST files, "" where there is none. `.ci/run` sets the variable.
std::string real_mnist() {
  const char* root = std::getenv("TOMBOLA_DATA");
  const auto folder = std::filesystem::path(root == nullptr ? "" : root) / "mnist";
  return root != nullptr && std::filesystem::is_directory(folder) ? folder.string() : "";
}

/// The message with which `load_mnist` refuses the folder.
std::string refusal(const TemporaryFolder& folder, int classes = 0) {
  try {
    load_mnist(folder.path(), classes);
  } catch (const std::runtime_error& error) {
    return error.what();
  }
  return "nothing was thrown";
}

}  // namespace

TEST_CASE("mnist: a small set of raw files") {
  const TemporaryFolder folder;
  write_set(folder);
  const auto [train, test] = load_mnist(folder.path());
  CHECK(train.pixels.shape() == Shape{4, 3, 2, 1});
  CHECK(train.count() == 4);
  CHECK(train.features() == 6);
  CHECK(train.channels() == 1);
  CHECK(train.classes == 4);
  CHECK(train.name == "train");
  CHECK(train.pixels[13] == 13);
  CHECK(Bytes(train.labels.begin(), train.labels.end()) == Bytes{3, 0, 1, 1});
  CHECK(test.pixels.shape() == Shape{2, 3, 2, 1});
  CHECK(test.classes == 4);  // as in the training set
  CHECK(test.name == "test");
  CHECK(Bytes(test.labels.begin(), test.labels.end()) == Bytes{2, 0});
  CHECK(load_mnist(folder.path(), 10).train.classes == 10);
}

TEST_CASE("mnist: every spelling of the file names, raw and compressed") {
  for (const std::string separator : {"-", "."}) {
    for (const bool packed : {false, true}) {
      CAPTURE(separator);
      CAPTURE(packed);
      const TemporaryFolder folder;
      const auto write = [&](const std::string& stem, const std::string& suffix, const Bytes& bytes) {
        folder.write(stem + separator + suffix + (packed ? ".gz" : ""), packed ? compress(bytes) : bytes);
      };
      write("train-images", "idx3-ubyte", image_file(4));
      write("train-labels", "idx1-ubyte", label_file({3, 0, 1, 1}));
      write("t10k-images", "idx3-ubyte", image_file(2));
      write("t10k-labels", "idx1-ubyte", label_file({2, 0}));
      const auto sets = load_mnist(folder.path());
      CHECK(sets.train.pixels[23] == 23);
      CHECK(sets.test.labels[0] == 2);
    }
  }
}

TEST_CASE("mnist: a raw file is preferred to a compressed one beside it") {
  const TemporaryFolder folder;
  write_set(folder);
  folder.write("train-labels-idx1-ubyte.gz", compress(label_file({0, 0, 0, 0})));
  CHECK(load_mnist(folder.path()).train.labels[0] == 3);
}

TEST_CASE("mnist: a missing folder or file is named, with what was tried") {
  const TemporaryFolder folder;
  const std::string missing = folder / "none", file = folder.write("file", {});
  const std::string reason =
      ": expected a folder with train-images-idx3-ubyte and the other files of an MNIST-format data set, got no folder";
  CHECK_THROWS_WITH_AS(load_mnist(missing), (missing + reason).c_str(), std::runtime_error);
  CHECK_THROWS_WITH_AS(load_mnist(file), (file + reason).c_str(), std::runtime_error);
  CHECK_THROWS_WITH_AS(load_mnist(""), ("the empty path" + reason).c_str(), std::runtime_error);
  CHECK(refusal(folder) == folder.path() + ": found none of train-images-idx3-ubyte, train-images.idx3-ubyte, "
                                           "train-images-idx3-ubyte.gz, train-images.idx3-ubyte.gz");
  write_set(folder);
  std::filesystem::remove(folder / "t10k-labels-idx1-ubyte");
  CHECK(refusal(folder) == folder.path() + ": found none of t10k-labels-idx1-ubyte, t10k-labels.idx1-ubyte, "
                                           "t10k-labels-idx1-ubyte.gz, t10k-labels.idx1-ubyte.gz");
}

TEST_CASE("mnist: as many labels as images, or both files are named") {
  const TemporaryFolder folder;
  write_set(folder);
  folder.write("t10k-labels-idx1-ubyte", label_file({2, 0, 1}));
  CHECK(refusal(folder) == folder / "t10k-images-idx3-ubyte" + " and " + folder / "t10k-labels-idx1-ubyte" +
                               ": expected as many labels as images, got 2 images and 3 labels");
}

TEST_CASE("mnist: a label out of range is refused with file and index") {
  const TemporaryFolder folder;
  write_set(folder);
  CHECK(load_mnist(folder.path(), 4).train.classes == 4);
  CHECK(refusal(folder, 3) ==
        folder / "train-labels-idx1-ubyte" + ": at byte 8: expected a label below 3, got 3 (label 0)");
  folder.write("t10k-labels-idx1-ubyte.gz", compress(label_file({2, 200})));
  std::filesystem::remove(folder / "t10k-labels-idx1-ubyte");
  CHECK(refusal(folder, 10) ==
        folder / "t10k-labels-idx1-ubyte.gz" + ": at byte 9: expected a label below 10, got 200 (label 1)");
  CHECK(refusal(folder) ==  // a class that no training image has
        folder / "t10k-labels-idx1-ubyte.gz" + ": at byte 9: expected a label below 4, got 200 (label 1)");
  CHECK(load_mnist(folder.path(), 256).train.classes == 256);
}

TEST_CASE("mnist: an absurd number of classes is the caller's mistake") {
  CHECK_THROWS_WITH_AS(load_mnist("x", 257), "load_mnist: expected 1 to 256 classes, or 0 to count them, got 257",
                       std::invalid_argument);
  CHECK_THROWS_WITH_AS(load_mnist("x", -1), "load_mnist: expected 1 to 256 classes, or 0 to count them, got -1",
                       std::invalid_argument);
}

TEST_CASE("mnist: training and test images have one size") {
  const TemporaryFolder folder;
  write_set(folder);
  folder.write("t10k-images-idx3-ubyte", image_file(2, 2, 3));
  CHECK(refusal(folder) == folder / "t10k-images-idx3-ubyte" + ": expected images of 3 x 2 pixels as in " +
                               folder / "train-images-idx3-ubyte" + ", got 2 x 3");
}

TEST_CASE("mnist: an empty set is refused") {
  const TemporaryFolder folder;
  write_set(folder);
  folder.write("t10k-images-idx3-ubyte", image_file(0));
  folder.write("t10k-labels-idx1-ubyte", label_file({}));
  CHECK(refusal(folder) ==
        folder / "t10k-images-idx3-ubyte" + ": at byte 4: expected an extent of at least 1 on axis 0, got 0");
  folder.write("t10k-images-idx3-ubyte", {});
  CHECK(refusal(folder) ==
        folder / "t10k-images-idx3-ubyte" + ": at byte 0: expected 4 more bytes, got 0 (the file is truncated)");
}

TEST_CASE("mnist: images and labels in each other's place") {
  const TemporaryFolder folder;
  write_set(folder);
  std::filesystem::rename(folder / "train-images-idx3-ubyte", folder / "t");
  std::filesystem::rename(folder / "train-labels-idx1-ubyte", folder / "train-images-idx3-ubyte");
  std::filesystem::rename(folder / "t", folder / "train-labels-idx1-ubyte");
  CHECK(refusal(folder) ==
        folder / "train-images-idx3-ubyte" +
            ": at byte 0: expected the magic number 0x00000803 (idx of unsigned bytes), got 0x00000801");
}

TEST_CASE("mnist: truncated and altered files are refused with their path, or read") {
  const TemporaryFolder folder;
  write_set(folder);
  for (const bool packed : {false, true}) {
    for (const std::string name : {"train-images-idx3-ubyte", "t10k-labels-idx1-ubyte"}) {
      const std::string file = packed ? name + ".gz" : name;
      CAPTURE(file);
      const Bytes raw = name.starts_with("train") ? image_file(4) : label_file({2, 0});
      const Bytes whole = packed ? compress(raw) : raw;
      std::filesystem::remove(folder / name);
      for (std::size_t size = 0; size < whole.size(); ++size) {
        folder.write(file, std::span(whole).first(size));
        CHECK(refusal(folder).starts_with((folder / file) + ": at byte "));
      }
      for (std::size_t at = 0; at < whole.size(); ++at) {
        CAPTURE(at);
        Bytes bytes = whole;
        bytes[at] ^= 0xFF;
        folder.write(file, bytes);
        const std::string message = refusal(folder);
        const bool header = !packed && at < (name.starts_with("train") ? 16u : 8u);
        const bool checked = packed && at >= 10;  // before that come time and system, which change nothing
        if (header || checked) {
          CHECK(message.starts_with((folder / file) + ": at byte "));
        } else {
          CHECK((message == "nothing was thrown" || message.starts_with((folder / file) + ": at byte ")));
        }
      }
      std::filesystem::remove(folder / file);
      folder.write(name, raw);
    }
  }
}

TEST_CASE("mnist: the real data set, where it is") {
  const std::string folder = real_mnist();
  if (folder.empty()) {
    MESSAGE("skipped: no MNIST in $TOMBOLA_DATA/mnist");
    return;
  }
  const auto [train, test] = load_mnist(folder, 10);
  CHECK(train.pixels.shape() == Shape{60'000, 28, 28, 1});
  CHECK(test.pixels.shape() == Shape{10'000, 28, 28, 1});
  using Counts = std::vector<Index>;
  CHECK(data::class_counts(train) == Counts{5923, 6742, 5958, 6131, 5842, 5421, 5918, 6265, 5851, 5949});
  CHECK(data::class_counts(test) == Counts{980, 1135, 1032, 1010, 982, 892, 958, 1028, 974, 1009});
  const data::Statistics statistics = data::mean_and_deviation(train);
  CHECK(std::abs(statistics.mean[0] - 0.1307) < 0.00005);  // the figures everybody uses, given to four digits
  CHECK(std::abs(statistics.deviation[0] - 0.3081) < 0.00005);
}
