#include "tombola/data/cifar.hpp"

#include <doctest/doctest.h>

#include "data/compress.hpp"
#include "support/temporary_folder.hpp"

using namespace tombola;
using data::load_cifar10;
using test_support::compress;
using test_support::TemporaryFolder;

namespace {

constexpr Index record = 3073, per_file = 2;

/// Two images; pixel (row, column) of channel c of image i holds a byte that tells all of them apart.
Bytes batch_file(int file) {
  Bytes bytes;
  for (int image = 0; image < per_file; ++image) {
    bytes.push_back(static_cast<std::uint8_t>((2 * file + image) % 10));
    for (int channel = 0; channel < 3; ++channel) {
      for (int pixel = 0; pixel < 1024; ++pixel) bytes.push_back(static_cast<std::uint8_t>(pixel * 7 + 85 * channel + 13 * (2 * file + image)));
    }
  }
  return bytes;
}

std::string file_name(int file) { return file == 5 ? "test_batch.bin" : concat("data_batch_", file + 1, ".bin"); }

void write_set(const TemporaryFolder& folder, const std::string& inner = "", const std::string& ending = "") {
  if (!inner.empty()) std::filesystem::create_directory(folder / inner);
  for (int file = 0; file < 6; ++file) {
    const Bytes bytes = batch_file(file);
    folder.write(inner + file_name(file) + ending, ending.empty() ? bytes : compress(bytes));
  }
}

void check_set(const data::TrainAndTest& sets) {
  CHECK(sets.train.pixels.shape() == Shape{10, 32, 32, 3});
  CHECK(sets.test.pixels.shape() == Shape{2, 32, 32, 3});
  CHECK((sets.train.classes == 10 && sets.test.classes == 10));
  for (Index i = 0; i < 12; ++i) {
    const data::Images& images = i < 10 ? sets.train : sets.test;
    const Index at = i < 10 ? i : i - 10;
    CHECK(images.labels[at] == i % 10);
    for (const Index pixel : {0, 1, 31, 32, 1023}) {
      for (Index channel = 0; channel < 3; ++channel) {
        CHECK(images.pixels[(at * 1024 + pixel) * 3 + channel] == static_cast<std::uint8_t>(pixel * 7 + 85 * channel + 13 * i));
      }
    }
  }
}

std::string refusal(const std::string& folder) {
  try {
    load_cifar10(folder, per_file);
  } catch (const std::runtime_error& error) {
    return error.what();
  }
  return "nothing was thrown";
}

}  // namespace

TEST_CASE("cifar10: labels and pixels of every file, raw, compressed, and in the archive's folder") {
  const TemporaryFolder raw, packed, inner;
  write_set(raw);
  write_set(packed, "", ".gz");
  write_set(inner, "cifar-10-batches-bin/");
  for (const auto* folder : {&raw, &packed, &inner}) check_set(load_cifar10(folder->path(), per_file));
  raw.write("test_batch.bin.gz", compress(Bytes(5)));  // a raw file is preferred
  check_set(load_cifar10(raw.path(), per_file));
}

TEST_CASE("cifar10: what is missing, short, long or altered is refused by name") {
  const TemporaryFolder folder;
  CHECK(refusal("") == "the empty path: expected a folder with data_batch_1.bin and the other files of CIFAR-10, got no folder");
  CHECK(refusal(folder / "none") == (folder / "none") + ": expected a folder with data_batch_1.bin and the other files of CIFAR-10, got no folder");
  CHECK(refusal(folder.path()) == folder.path() + ": found none of data_batch_1.bin, data_batch_1.bin.gz");
  write_set(folder);
  std::filesystem::remove(folder / "test_batch.bin");
  CHECK(refusal(folder.path()) == folder.path() + ": found none of test_batch.bin, test_batch.bin.gz");
  write_set(folder);
  const Bytes whole = batch_file(2);
  const std::string path = folder / "data_batch_3.bin";
  for (const std::size_t size : {std::size_t{0}, std::size_t{1}, static_cast<std::size_t>(record), whole.size() - 1}) {
    folder.write("data_batch_3.bin", std::span(whole).first(size));
    CHECK(refusal(folder.path()).find(path) == 0);
    CHECK(refusal(folder.path()).find("expected 6146 bytes, 2 images, got ") != std::string::npos);
  }
  Bytes longer = whole;
  longer.push_back(0);
  folder.write("data_batch_3.bin", longer);
  CHECK(refusal(folder.path()).find("got 6147") != std::string::npos);
  Bytes altered = whole;
  altered[record] = 10;
  folder.write("data_batch_3.bin", altered);
  CHECK(refusal(folder.path()).find(path) == 0);
  CHECK(refusal(folder.path()).find("expected a label below 10, got 10 (image 1)") != std::string::npos);
  CHECK_THROWS_WITH_AS(load_cifar10(folder.path(), 0), "load_cifar10: expected 1 to 1000000 images in a file, got 0", std::invalid_argument);
}
