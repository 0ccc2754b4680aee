#define TOMBOLA_MNIST_SUBSET "the subset"
#include "support/data_source.hpp"

#include <doctest/doctest.h>

#include <optional>

#include "support/temporary_folder.hpp"

using namespace examples;
using test_support::TemporaryFolder;

namespace {

/// A variable of the environment has this value, or none, while this lives.
class Variable {
 public:
  Variable(const char* name, const std::optional<std::string>& value) : name_(name) {
    if (const char* was = std::getenv(name)) before_ = was;
    set(value);
  }
  Variable(const Variable&) = delete;
  Variable& operator=(const Variable&) = delete;
  ~Variable() { set(before_); }
  void set(const std::optional<std::string>& value) const {
    if (value) {
      ::setenv(name_, value->c_str(), 1);
    } else {
      ::unsetenv(name_);
    }
  }

 private:
  const char* name_;
  std::optional<std::string> before_;
};

/// Folders where data are looked for, and variables that say so.
struct Places {
  TemporaryFolder root, cache, home;
  Variable data{"TOMBOLA_DATA", root.path()}, cached{"XDG_CACHE_HOME", cache.path()}, user{"HOME", home.path()};
};

/// An empty file, and the folders that it is in.
void touch(const std::string& path) {
  std::filesystem::create_directories(std::filesystem::path(path).parent_path());
  std::ofstream{path};
}

}  // namespace

TEST_CASE("data source: the format of a folder is that of the test set in it") {
  for (const char* file : {"test_batch.bin", "test_batch.bin.gz", "cifar-10-batches-bin/anything"}) {
    CAPTURE(file);
    const TemporaryFolder folder;
    CHECK(format_of(folder.path(), "cifar10") == "");
    touch(folder / file);
    CHECK(format_of(folder.path(), "cifar10") == "cifar10");
    CHECK(format_of(folder.path(), "mnist") == "cifar10");
    touch(folder / "t10k-images-idx3-ubyte");
    CHECK(format_of(folder.path(), "cifar10") == "cifar10");
    CHECK(format_of(folder.path(), "mnist") == "mnist");
  }
  for (const char* file : {"t10k-images-idx3-ubyte", "t10k-images-idx3-ubyte.gz", "t10k-images.idx3-ubyte", "t10k-images.idx3-ubyte.gz"}) {
    CAPTURE(file);
    const TemporaryFolder folder;
    touch(folder / file);
    CHECK(format_of(folder.path(), "cifar10") == "mnist");
  }
  const TemporaryFolder other;
  touch(other / "data_batch_1.bin");
  CHECK(format_of(other.path(), "cifar10") == "");
  CHECK(format_of(other / "none", "cifar10") == "");
}

TEST_CASE("data source: CIFAR-10 is looked for in the folder given, in $TOMBOLA_DATA, in the user's cache") {
  const Places places;
  const std::string in_root = places.root / "cifar10", in_cache = places.cache / "tombola/cifar10", in_home = places.home / ".cache/tombola/cifar10";
  const auto found = [] { return find_data("", "cifar10").folder; };
  const auto refused = [&](const std::string& cache) {
    const std::string message = "--data: expected a folder with CIFAR-10, or files in $TOMBOLA_DATA/cifar10 or the user's cache " + cache +
                                " (tools/fetch-data cifar10), got none";
    CHECK_THROWS_WITH_AS(found(), message.c_str(), std::runtime_error);
  };
  refused(in_cache);
  std::filesystem::create_directory(in_root);  // empty
  refused(in_cache);
  touch(in_root + "/t10k-images-idx3-ubyte");  // another data set
  refused(in_cache);
  touch(in_cache + "/test_batch.bin.gz");
  CHECK(found() == in_cache);
  touch(in_root + "/test_batch.bin");  // both data sets
  CHECK(found() == in_root);
  CHECK(find_data("anywhere", "cifar10").folder == "anywhere");
  CHECK_FALSE(find_data("", "cifar10").is_subset);
  places.data.set("");
  CHECK(found() == in_cache);
  places.data.set({});
  CHECK(found() == in_cache);
  places.cached.set({});
  refused(in_home);
  touch(in_home + "/cifar-10-batches-bin/test_batch.bin");
  CHECK(found() == in_home);
  places.user.set({});
  refused("(there is none: neither HOME nor XDG_CACHE_HOME is set)");
}

TEST_CASE("data source: without MNIST there is its subset, but not in the place of an incomplete one") {
  const Places places;
  const auto found = [] { return find_data("", "mnist"); };
  CHECK(found().folder == "the subset");
  CHECK(found().is_subset);
  touch(places.cache / "tombola/mnist/t10k-images-idx3-ubyte.gz");
  CHECK(found().folder == places.cache / "tombola/mnist");
  CHECK_FALSE(found().is_subset);
  std::filesystem::create_directory(places.root / "mnist");
  CHECK(found().folder == places.root / "mnist");
  CHECK(find_data("anywhere", "mnist").folder == "anywhere");
}

TEST_CASE("data source: images are read in the format of their files; a missing or short one is named, with where it was looked for") {
  const auto refused = [](const std::string& folder, const std::string& name, const std::string& message) {
    CHECK_THROWS_WITH_AS(load_images(folder, name), message.c_str(), std::runtime_error);
  };
  const TemporaryFolder folder;
  const std::string path = folder.path(), inner = folder / "cifar-10-batches-bin";
  refused(path, "cifar10", path + ": found none of data_batch_1.bin, data_batch_1.bin.gz");  // what is expected, where nothing tells
  refused(path, "mnist",
          path + ": found none of train-images-idx3-ubyte, train-images.idx3-ubyte, train-images-idx3-ubyte.gz, train-images.idx3-ubyte.gz");
  refused(folder / "none", "cifar10", (folder / "none") + ": expected a folder with data_batch_1.bin and the other files of CIFAR-10, got no folder");
  const Bytes record(3073);  // one image
  folder.write("test_batch.bin", record);
  refused(path, "mnist", path + ": found none of data_batch_1.bin, data_batch_1.bin.gz");
  folder.write("data_batch_1.bin", record);
  refused(path, "mnist", path + "/data_batch_1.bin: at byte 3073: expected 30730000 bytes, 10000 images, got 3073");
  std::filesystem::create_directory(inner);  // the archive's folder comes before what lies around it
  refused(path, "mnist", inner + ": found none of data_batch_1.bin, data_batch_1.bin.gz");
}
