#include "tombola/core/file.hpp"

#include <doctest/doctest.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include <limits>

#include "support/temporary_folder.hpp"

using namespace tombola;
using test_support::TemporaryFolder;

namespace {

Bytes letters(const char* text) { return {text, text + std::strlen(text)}; }

/// No file may grow beyond `bytes` while this lives: writing fails as on a full disk.
class FileSizeLimit {
 public:
  explicit FileSizeLimit(rlim_t bytes) : handler_(::signal(SIGXFSZ, SIG_IGN)) {
    ::getrlimit(RLIMIT_FSIZE, &before_);
    rlimit limit = before_;
    limit.rlim_cur = bytes;
    set_ = ::setrlimit(RLIMIT_FSIZE, &limit) == 0;
  }
  FileSizeLimit(const FileSizeLimit&) = delete;
  FileSizeLimit& operator=(const FileSizeLimit&) = delete;
  ~FileSizeLimit() {
    ::setrlimit(RLIMIT_FSIZE, &before_);
    ::signal(SIGXFSZ, handler_);
  }
  bool set() const { return set_; }

 private:
  void (*handler_)(int);
  rlimit before_{};
  bool set_ = false;
};

}  // namespace

TEST_CASE("reader: numbers in both byte orders") {
  const Bytes bytes = {0x01, 0x02, 0x03, 0x04, 0x05, 0x06, 0x07, 0x08, 0x09, 0x0A, 0x0B, 0x0C, 0x0D, 0x0E, 0x0F, 0xFF};
  Reader little(bytes, "n");
  CHECK(little.little<std::uint8_t>() == 0x01);
  CHECK(little.little<std::uint16_t>() == 0x0302);
  CHECK(little.little<std::uint32_t>() == 0x07060504u);
  CHECK(little.offset() == 7);
  CHECK(little.little<std::uint64_t>() == 0x0F0E0D0C0B0A0908u);
  CHECK(little.offset() == 15);
  Reader big(bytes, "n");
  CHECK(big.big<std::uint8_t>() == 0x01);
  CHECK(big.big<std::uint16_t>() == 0x0203);
  CHECK(big.big<std::uint32_t>() == 0x04050607u);
  CHECK(big.big<std::uint64_t>() == 0x08090A0B0C0D0E0Fu);
  CHECK(big.remaining() == 1);
  CHECK_THROWS_WITH_AS(big.expect_end(), "n: at byte 15: expected the end, got 1 more bytes", std::runtime_error);
  CHECK(big.big<std::uint8_t>() == 0xFF);
  CHECK_NOTHROW(big.expect_end());
}

TEST_CASE("reader: floating-point numbers keep their bits") {
  Writer writer;
  writer.little(-1.5f);
  writer.little(0.1);
  writer.little(std::numeric_limits<float>::denorm_min());
  CHECK(writer.size() == 16);
  CHECK(Bytes(writer.written().begin(), writer.written().begin() + 4) == Bytes{0x00, 0x00, 0xC0, 0xBF});
  const Bytes bytes = writer.take();
  Reader reader(bytes, "n");
  CHECK(reader.little<float>() == -1.5f);
  CHECK(reader.little<double>() == 0.1);
  CHECK(reader.little<float>() == std::numeric_limits<float>::denorm_min());
}

TEST_CASE("writer and reader: numbers, bytes, strings") {
  Writer writer;
  writer.little(std::uint8_t{0xAB});
  writer.little(std::uint16_t{0x1234});
  writer.little(std::uint32_t{0x89ABCDEF});
  writer.little(std::uint64_t{0x0123456789ABCDEF});
  writer.string("mask");
  writer.bytes(letters("xyz"));
  const Bytes bytes = writer.take();
  CHECK(bytes == Bytes{0xAB, 0x34, 0x12, 0xEF, 0xCD, 0xAB, 0x89, 0xEF, 0xCD, 0xAB, 0x89, 0x67,
                       0x45, 0x23, 0x01, 4,    0,    'm',  'a',  's',  'k',  'x',  'y',  'z'});
  Reader reader(bytes, "n");
  CHECK(reader.little<std::uint8_t>() == 0xAB);
  CHECK(reader.little<std::uint16_t>() == 0x1234);
  CHECK(reader.little<std::uint32_t>() == 0x89ABCDEFu);
  CHECK(reader.little<std::uint64_t>() == 0x0123456789ABCDEFu);
  CHECK(reader.string() == "mask");
  const auto rest = reader.bytes(3);
  CHECK(rest.data() == bytes.data() + 21);  // borrowed
  CHECK(reader.remaining() == 0);
}

TEST_CASE("writer: a string of 65535 bytes, not one more") {
  Writer writer;
  writer.string(std::string(65'535, 'a'));
  CHECK(writer.size() == 65'537);
  CHECK_THROWS_WITH_AS(writer.string(std::string(65'536, 'a')),
                       "writer: expected a string of at most 65535 bytes, got 65536", std::invalid_argument);
  CHECK(writer.size() == 65'537);  // nothing was appended
}

TEST_CASE("reader: refuses what is not there, with path, offset, expected and got") {
  const Bytes bytes = {5, 0, 'a', 'b'};
  Reader reader(bytes, "dir/x.bin", 100);
  CHECK(reader.name() == "dir/x.bin");
  CHECK(reader.offset() == 100);
  CHECK_THROWS_WITH_AS(reader.little<std::uint64_t>(),
                       "dir/x.bin: at byte 100: expected 8 more bytes, got 4 (the file is truncated)",
                       std::runtime_error);
  CHECK_THROWS_WITH_AS(reader.big<std::uint64_t>(),
                       "dir/x.bin: at byte 100: expected 8 more bytes, got 4 (the file is truncated)",
                       std::runtime_error);
  CHECK_THROWS_WITH_AS(
      reader.bytes(~std::uint64_t{0}),
      "dir/x.bin: at byte 100: expected 18446744073709551615 more bytes, got 4 (the file is truncated)",
      std::runtime_error);
  CHECK(reader.offset() == 100);  // a refused read takes nothing
  CHECK_THROWS_WITH_AS(reader.string(), "dir/x.bin: at byte 102: expected 5 more bytes, got 2 (the file is truncated)",
                       std::runtime_error);
  CHECK_THROWS_WITH_AS(reader.expect_end(), "dir/x.bin: at byte 102: expected the end, got 2 more bytes",
                       std::runtime_error);
  CHECK_NOTHROW(reader.check(true, "a", "b"));
  CHECK_THROWS_WITH_AS(reader.check(false, "version 1", 7), "dir/x.bin: at byte 102: expected version 1, got 7",
                       std::runtime_error);
  CHECK_THROWS_WITH_AS(reader.refuse("a mask", "none"), "dir/x.bin: at byte 102: expected a mask, got none",
                       std::runtime_error);
}

TEST_CASE("reader: a product within its limit, without overflow") {
  const Reader reader({}, "f");
  constexpr std::uint64_t most = std::numeric_limits<std::uint64_t>::max();
  CHECK(reader.product(6, 7, 42) == 42);
  CHECK(reader.product(0, most, 5) == 0);
  CHECK(reader.product(most, 0, 5) == 0);
  CHECK(reader.product(most, 1, most) == most);
  CHECK_THROWS_WITH_AS(reader.product(6, 7, 41), "f: at byte 0: expected at most 41, got 6 times 7",
                       std::runtime_error);
  CHECK_THROWS_WITH_AS(reader.product(std::uint64_t{1} << 32, std::uint64_t{1} << 32, most),
                       "f: at byte 0: expected at most 18446744073709551615, got 4294967296 times 4294967296",
                       std::runtime_error);
}

TEST_CASE("read_file: the whole file") {
  const TemporaryFolder folder;
  CHECK(read_file(folder.write("empty", {})).empty());
  Bytes bytes(100'000);
  for (std::size_t i = 0; i < bytes.size(); ++i) bytes[i] = static_cast<std::uint8_t>(i * i / 7);
  const std::string path = folder.write("some", bytes);
  CHECK(read_file(path) == bytes);
  CHECK(read_file(path, 100'000) == bytes);
  CHECK_THROWS_WITH_AS(read_file(path, 99'999),
                       (path + ": at byte 0: expected at most 99999 bytes, got 100000").c_str(), std::runtime_error);
}

TEST_CASE("read_file: refuses what is no file") {
  const TemporaryFolder folder;
  const std::string missing = folder / "missing", pipe = folder / "pipe";
  CHECK_THROWS_WITH_AS(read_file(missing), (missing + ": cannot open for reading: No such file or directory").c_str(),
                       std::runtime_error);
  CHECK_THROWS_WITH_AS(read_file(folder.path()),
                       (folder.path() + ": at byte 0: expected a regular file, got something else").c_str(),
                       std::runtime_error);
  REQUIRE(::mkfifo(pipe.c_str(), 0600) == 0);  // nobody writes to it: reading must not wait
  CHECK_THROWS_WITH_AS(read_file(pipe), (pipe + ": at byte 0: expected a regular file, got something else").c_str(),
                       std::runtime_error);
  CHECK_THROWS_WITH_AS(read_file("/dev/zero"), "/dev/zero: at byte 0: expected a regular file, got something else",
                       std::runtime_error);
}

TEST_CASE("write_file: makes and replaces") {
  const TemporaryFolder folder;
  const std::string path = folder / "out";
  write_file(path, letters("first, longer"));
  CHECK(read_file(path) == letters("first, longer"));
  write_file(path, "second");
  CHECK(read_file(path) == letters("second"));
  write_file(path, Bytes{});
  CHECK(read_file(path).empty());
  CHECK(folder.entries() == 1);
}

TEST_CASE("write_file: a left-over .tmp of a killed run does no harm") {
  const TemporaryFolder folder;
  folder.write("out.tmp", letters("half a file, longer than the new one"));
  write_file(folder / "out", "new");
  CHECK(read_file(folder / "out") == letters("new"));
  CHECK(folder.entries() == 1);
}

TEST_CASE("write_file: a file name without a folder") {
  const TemporaryFolder folder;
  const auto here = std::filesystem::current_path();
  std::filesystem::current_path(folder.path());
  CHECK_NOTHROW(write_file("plain", "x"));
  std::filesystem::current_path(here);
  CHECK(read_file(folder / "plain") == letters("x"));
}

TEST_CASE("write_file: a folder that is missing, is a file, or is the target") {
  const TemporaryFolder folder;
  const std::string missing = folder / "none/out", inside = folder.write("file", letters("kept")) + "/out";
  CHECK_THROWS_WITH_AS(write_file(missing, "x"), (missing + ": cannot write: No such file or directory").c_str(),
                       std::runtime_error);
  CHECK_THROWS_WITH_AS(write_file(inside, "x"), (inside + ": cannot write: Not a directory").c_str(),
                       std::runtime_error);
  std::filesystem::create_directory(folder / "taken");
  CHECK_THROWS_WITH_AS(write_file(folder / "taken", "x"), (folder / "taken" + ": cannot write: Is a directory").c_str(),
                       std::runtime_error);
  CHECK(folder.entries() == 2);  // no .tmp
  CHECK(read_file(folder / "file") == letters("kept"));
}

TEST_CASE("write_file: a folder that may not be written") {
  const TemporaryFolder folder;
  const std::string path = folder.write("out", letters("old"));
  std::filesystem::permissions(folder.path(), std::filesystem::perms{0555});
  const bool root = ::geteuid() == 0;  // root may write anywhere, so become nobody for a moment
  if (root && ::seteuid(65'534) != 0) {
    MESSAGE("skipped: runs as root and cannot become another user");
    return;
  }
  std::string message = "nothing was thrown";
  try {
    write_file(path, "new");
  } catch (const std::runtime_error& error) {
    message = error.what();
  }
  if (root) REQUIRE(::seteuid(0) == 0);
  std::filesystem::permissions(folder.path(), std::filesystem::perms{0755});
  CHECK(message == path + ": cannot write: Permission denied");
  CHECK(read_file(path) == letters("old"));
  CHECK(folder.entries() == 1);
}

TEST_CASE("write_file: a disk that fills up half-way leaves the old file and no .tmp") {
  const TemporaryFolder folder;
  const std::string path = folder.write("out", letters("old"));
  const Bytes large(100'000, 1);
  std::string message = "nothing was thrown";
  {
    const FileSizeLimit limit(4096);
    if (!limit.set()) {
      MESSAGE("skipped: cannot limit the size of files");
      return;
    }
    try {
      write_file(path, large);
    } catch (const std::runtime_error& error) {
      message = error.what();
    }
  }
  CHECK(message == path + ": cannot write: File too large");
  CHECK(read_file(path) == letters("old"));
  CHECK(folder.entries() == 1);
  CHECK_NOTHROW(write_file(path, large));  // once there is room again
  CHECK(read_file(path) == large);
}

TEST_CASE("AtomicFile: what was there stays until commit, and for good without it") {
  const TemporaryFolder folder;
  const std::string path = folder.write("out", letters("old"));
  {
    AtomicFile file(path);
    file.write(letters("ne"));
    CHECK(read_file(path) == letters("old"));
  }
  CHECK(read_file(path) == letters("old"));
  CHECK(folder.entries() == 1);
  AtomicFile file(path);
  file.write(letters("ne"));
  file.write(letters("w"));
  CHECK(file.checksum() == crc64(letters("new")));
  file.commit();
  CHECK(read_file(path) == letters("new"));
  CHECK(folder.entries() == 1);
}

TEST_CASE("Writer: into a file, what it writes into memory and the checksum of that") {
  const TemporaryFolder folder;
  const std::string path = folder / "out";
  const auto write = [](Writer& writer) {
    writer.string("a name");
    for (std::uint32_t i = 0; i < 600'000; ++i) writer.little(i);  // more than two parts of 1 MiB
    writer.bytes(Bytes(3 << 20, 7));                               // more than a part at once
  };
  Writer memory;
  write(memory);
  AtomicFile file(path);
  Writer writer(file);
  write(writer);
  CHECK(!std::filesystem::exists(path));
  writer.finish();
  Bytes expected = memory.take();
  const std::uint64_t checksum = crc64(expected);
  for (int i = 0; i < 8; ++i) expected.push_back(static_cast<std::uint8_t>(checksum >> (8 * i)));
  CHECK(read_file(path) == expected);
  CHECK(folder.entries() == 1);
}

TEST_CASE("write_file: a pipe, or a device, is not replaced") {
  const TemporaryFolder folder;
  const std::string path = folder / "pipe";
  REQUIRE(::mkfifo(path.c_str(), 0600) == 0);
  const std::string reason = ": cannot write: expected a regular file or nothing there, got something else";
  CHECK_THROWS_WITH_AS(write_file(path, "x"), (path + reason).c_str(), std::runtime_error);
  CHECK(std::filesystem::is_fifo(path));
  CHECK(folder.entries() == 1);
  const std::string missing = folder / "none/pipe", link = folder / "link";
  CHECK_THROWS_WITH_AS(write_file(missing, "x"), (missing + ": cannot write: No such file or directory").c_str(),
                       std::runtime_error);
  std::filesystem::create_symlink(path, link);
  CHECK_THROWS_WITH_AS(write_file(link, "x"), (link + reason).c_str(), std::runtime_error);
}

TEST_CASE("write_file: a full device") {
  const TemporaryFolder folder;
  const std::string path = folder.write("out", letters("old"));
  std::filesystem::create_symlink("/dev/full", path + ".tmp");  // every write to it fails for want of space
  CHECK_THROWS_WITH_AS(write_file(path, "new"), (path + ": cannot write: No space left on device").c_str(),
                       std::runtime_error);
  CHECK(read_file(path) == letters("old"));
  CHECK(folder.entries() == 1);
}

TEST_CASE("unsealed: what lies between kind and checksum, of an unaltered file of this kind alone") {
  const TemporaryFolder folder;
  const std::string path = folder / "file";
  {
    AtomicFile file(path);
    Writer writer(file);
    writer.text("KIND");
    writer.little(std::uint16_t{7});
    writer.finish();
  }
  const Bytes whole = read_file(path);
  Reader reader = unsealed(whole, path, "KIND", "a file of this kind");
  CHECK(reader.offset() == 4);
  CHECK(reader.little<std::uint16_t>() == 7);
  CHECK(reader.remaining() == 0);
  const auto refusal = [&](const Bytes& bytes) -> std::string {
    try {
      unsealed(bytes, "file", "KIND", "a file of this kind");
      return "";
    } catch (const std::runtime_error& error) {
      return error.what();
    }
  };
  CHECK(refusal(whole).empty());
  for (std::size_t size = 0; size < whole.size(); ++size) CHECK(refusal(Bytes(whole.begin(), whole.begin() + static_cast<std::ptrdiff_t>(size))).starts_with("file: at byte "));
  for (std::size_t i = 0; i < whole.size(); ++i) {
    Bytes altered = whole;
    altered[i] ^= 1;
    CHECK(refusal(altered) == (i < 4 ? "file: at byte 0: expected a file of this kind, got another kind of file"
                                     : "file: at byte 14: expected the checksum of an unaltered file, got another one"));
  }
}
