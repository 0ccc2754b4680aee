/// \file
/// Files: a bounds-checked Reader over bytes, a Writer into bytes or a file, whole files read, and replaced atomically.
#pragma once

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <bit>
#include <cerrno>
#include <cstring>
#include <span>
#include <string>
#include <string_view>
#include <system_error>
#include <type_traits>
#include <utility>
#include <vector>

#include "tombola/core/crc64.hpp"
#include "tombola/core/error.hpp"

namespace tombola::inline TOMBOLA_ISA {

using Bytes = std::vector<std::uint8_t>;

/// Reads numbers and spans from bytes that may be hostile. Every read is checked against what remains; each failure is
/// a `std::runtime_error` that names the file, the offset, what was expected and what was there.
class Reader {
 public:
  /// Borrows the bytes. `name` is the path for messages; `origin` is the offset of the first byte in that file.
  Reader(std::span<const std::uint8_t> bytes, std::string name, std::uint64_t origin = 0)
      : bytes_(bytes),
        name_(std::move(name)),
        origin_(origin) {}

  std::uint64_t offset() const noexcept { return origin_ + position_; }
  std::uint64_t remaining() const noexcept { return bytes_.size() - position_; }
  const std::string& name() const noexcept { return name_; }

  /// An unsigned integer or a floating-point number, little-endian.
  template <class T>
  T little() {
    static_assert(std::is_unsigned_v<T> || std::is_floating_point_v<T>);
    return std::bit_cast<T>(number<T>(false));
  }
  /// An unsigned integer, big-endian.
  template <class T>
  T big() {
    static_assert(std::is_unsigned_v<T>);
    return number<T>(true);
  }
  /// The next `count` bytes, borrowed.
  [[gnu::noinline]] std::span<const std::uint8_t> bytes(std::uint64_t count) {
    if (count > remaining()) refuse(concat(count, " more bytes"), concat(remaining(), " (the file is truncated)"));
    const auto part = bytes_.subspan(position_, static_cast<std::size_t>(count));
    position_ += static_cast<std::size_t>(count);
    return part;
  }
  /// A string with its length, 16 bits, in front.
  std::string string() {
    const auto part = bytes(little<std::uint16_t>());
    return {reinterpret_cast<const char*>(part.data()), part.size()};
  }
  /// Throws unless every byte was read.
  void expect_end() const {
    if (remaining() != 0) refuse("the end", concat(remaining(), " more bytes"));
  }
  /// Throws "name: at byte offset: expected ..., got ..." unless `holds`.
  template <class Expected, class Got>
  void check(bool holds, const Expected& expected, const Got& got) const {
    if (!holds) [[unlikely]]
      refuse(expected, got);
  }
  template <class Expected, class Got>
  [[noreturn]] void refuse(const Expected& expected, const Got& got) const {
    refuse_file(name_, offset(), expected, got);
  }
  /// a * b, refused if it exceeds `limit` (or overflows).
  std::uint64_t product(std::uint64_t a, std::uint64_t b, std::uint64_t limit) const {
    if (b != 0 && a > limit / b) refuse(concat("at most ", limit), concat(a, " times ", b));
    return a * b;
  }

 private:
  template <std::size_t size>
  using Unsigned = std::conditional_t<
      size == 1, std::uint8_t,
      std::conditional_t<size == 2, std::uint16_t, std::conditional_t<size == 4, std::uint32_t, std::uint64_t>>>;

  template <class T>
  Unsigned<sizeof(T)> number(bool big_endian) {
    const auto part = bytes(sizeof(T));
    std::uint64_t value = 0;
    for (std::size_t i = 0; i < sizeof(T); ++i) value = value << 8 | part[big_endian ? i : sizeof(T) - 1 - i];
    return static_cast<Unsigned<sizeof(T)>>(value);
  }

  std::span<const std::uint8_t> bytes_;
  std::string name_;
  std::uint64_t origin_;
  std::size_t position_ = 0;
};

namespace detail {

/// "path: what: reason" from errno.
[[noreturn]] inline void refuse_io(const std::string& path, const char* what) {
  throw std::runtime_error(concat(path, ": ", what, ": ", std::generic_category().message(errno)));
}

class Descriptor {
 public:
  Descriptor(const std::string& path, int flags, mode_t mode = 0666)
      : descriptor_(::open(path.c_str(), flags | O_CLOEXEC, mode)) {}
  Descriptor(const Descriptor&) = delete;
  Descriptor& operator=(const Descriptor&) = delete;
  ~Descriptor() { close(); }
  int get() const noexcept { return descriptor_; }
  bool close() noexcept { return descriptor_ < 0 || ::close(std::exchange(descriptor_, -1)) == 0; }

 private:
  int descriptor_;
};

}  // namespace detail

/// A file written part by part that replaces `path` as a whole: what was there stays until `commit`, and for good if that is not reached.
/// The parts go to `path`.tmp. Everything throws `std::runtime_error` "path: cannot write: reason"; no .tmp file is left behind.
/// What is not a file, such as a folder or a device, is not replaced.
class AtomicFile {
 public:
  explicit AtomicFile(std::string path)
      : path_(replaceable(std::move(path))), temporary_(path_ + ".tmp"), file_(temporary_, O_WRONLY | O_CREAT | O_TRUNC) {
    if (file_.get() < 0) detail::refuse_io(path_, "cannot write");
  }
  ~AtomicFile() {
    if (!committed_) ::unlink(temporary_.c_str());
  }

  void write(std::span<const std::uint8_t> bytes) {
    checksum_.update(bytes);
    for (std::size_t done = 0; done < bytes.size();) {
      const ssize_t wrote = ::write(file_.get(), bytes.data() + done, bytes.size() - done);
      if (wrote < 0 && errno == EINTR) continue;
      if (wrote < 0) detail::refuse_io(path_, "cannot write");
      done += static_cast<std::size_t>(wrote);
    }
  }
  /// CRC-64/XZ of what was written so far.
  std::uint64_t checksum() const noexcept { return checksum_.value(); }
  /// Syncs the file, renames it, syncs the folder.
  void commit() {
    if (::fsync(file_.get()) != 0 || !file_.close() || ::rename(temporary_.c_str(), path_.c_str()) != 0)
      detail::refuse_io(path_, "cannot write");
    committed_ = true;
    const std::size_t slash = path_.rfind('/');
    const std::string folder = slash == std::string::npos ? "." : slash == 0 ? "/" : path_.substr(0, slash);
    detail::Descriptor directory(folder, O_RDONLY | O_DIRECTORY);
    if (directory.get() >= 0) ::fsync(directory.get());  // some file systems refuse it; the rename itself is done
  }

 private:
  static std::string replaceable(std::string path) {
    struct stat status {};
    if (::stat(path.c_str(), &status) == 0 && !S_ISREG(status.st_mode)) {
      if (S_ISDIR(status.st_mode)) throw std::runtime_error(path + ": cannot write: Is a directory");
      throw std::runtime_error(path + ": cannot write: expected a regular file or nothing there, got something else");
    }
    return path;
  }

  std::string path_, temporary_;
  detail::Descriptor file_;
  Crc64 checksum_;
  bool committed_ = false;
};

/// Appends numbers and spans to bytes, little-endian; or to a file, so that only a part of it is in memory at a time.
class Writer {
 public:
  Writer() = default;
  /// Borrows the file. `finish` writes what is left.
  explicit Writer(AtomicFile& file) noexcept : file_(&file) {}

  template <class T>
  requires std::is_unsigned_v<T>
  void little(T value) {
    std::uint8_t part[sizeof(T)];
    for (std::size_t i = 0; i < sizeof(T); ++i) part[i] = static_cast<std::uint8_t>(value >> (8 * i));
    bytes(part);
  }
  void little(float value) { little(std::bit_cast<std::uint32_t>(value)); }
  void little(double value) { little(std::bit_cast<std::uint64_t>(value)); }
  [[gnu::noinline]] void bytes(std::span<const std::uint8_t> part) {
    bytes_.insert(bytes_.end(), part.begin(), part.end());
    if (file_ != nullptr && bytes_.size() >= largest_part) flush();
  }
  /// The characters alone.
  void text(std::string_view characters) { bytes({reinterpret_cast<const std::uint8_t*>(characters.data()), characters.size()}); }
  /// Throws `std::invalid_argument` if the text is longer than 65,535 bytes.
  void string(std::string_view characters) {
    require(characters.size() <= 0xFFFF, "writer: expected a string of at most 65535 bytes, got ", characters.size());
    little(static_cast<std::uint16_t>(characters.size()));
    text(characters);
  }
  /// Into a file: the rest, the CRC-64/XZ of everything, and `commit`.
  void finish() {
    flush();
    little(file_->checksum());
    flush();
    file_->commit();
  }
  // Into memory.
  std::uint64_t size() const noexcept { return bytes_.size(); }
  std::span<const std::uint8_t> written() const noexcept { return bytes_; }
  Bytes take() noexcept { return std::move(bytes_); }

 private:
  static constexpr std::size_t largest_part = std::size_t{1} << 20;

  void flush() {
    file_->write(bytes_);
    bytes_.clear();
  }

  Bytes bytes_;
  AtomicFile* file_ = nullptr;
};

/// "folder/name".
inline std::string path_in(const std::string& folder, const std::string& name) {
  return concat(folder, folder.empty() || folder.ends_with('/') ? "" : "/", name);
}
// <filesystem> answers the following too, but takes longer to compile than everything that asks.

/// Whether there is a file or a folder.
inline bool path_exists(const std::string& path) noexcept {
  struct stat status {};
  return ::stat(path.c_str(), &status) == 0;
}
/// Whether there is a folder.
inline bool is_folder(const std::string& path) noexcept {
  struct stat status {};
  return ::stat(path.c_str(), &status) == 0 && S_ISDIR(status.st_mode);
}
/// Throws `std::runtime_error` "path: expected a folder with CONTENTS, got no folder" unless there is a folder.
inline void require_folder(const std::string& path, const char* contents) {
  if (is_folder(path)) return;
  throw std::runtime_error(concat(path.empty() ? "the empty path" : path, ": expected a folder with ", contents, ", got no folder"));
}

/// The whole file. Throws `std::runtime_error` if it cannot be opened or read, is not a regular file, or holds more than
/// `limit` bytes.
inline Bytes read_file(const std::string& path, std::uint64_t limit = std::uint64_t{1} << 34) {
  detail::Descriptor file(path, O_RDONLY | O_NONBLOCK);  // a pipe without a writer is refused below, not waited for
  struct stat status {};
  if (file.get() < 0 || ::fstat(file.get(), &status) != 0) detail::refuse_io(path, "cannot open for reading");
  if (!S_ISREG(status.st_mode)) refuse_file(path, 0, "a regular file", "something else");
  const auto size = static_cast<std::uint64_t>(status.st_size);
  if (size > limit) refuse_file(path, 0, concat("at most ", limit, " bytes"), size);
  Bytes bytes(static_cast<std::size_t>(size));
  std::size_t filled = 0;
  while (filled < bytes.size()) {
    const ssize_t got = ::read(file.get(), bytes.data() + filled, bytes.size() - filled);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) detail::refuse_io(path, "cannot read");
    if (got == 0) refuse_file(path, filled, concat(size, " bytes"), "the end of the file");
    filled += static_cast<std::size_t>(got);
  }
  return bytes;
}

/// What lies between the eight bytes that a file of this kind begins with and the CRC-64/XZ at its end, as `Writer::finish` writes it. Borrows the
/// bytes of the whole file. Throws `std::runtime_error` "path: at byte offset: expected `kind`, ..." for a file of another kind, and for an altered one.
inline Reader unsealed(std::span<const std::uint8_t> bytes, const std::string& path, std::string_view magic, const char* kind) {
  Reader whole(bytes, path);
  const auto begins = whole.bytes(magic.size());
  if (!std::equal(magic.begin(), magic.end(), begins.begin())) refuse_file(path, 0, kind, "another kind of file");
  const auto body = whole.bytes(std::max<std::uint64_t>(whole.remaining(), 8) - 8);
  whole.check(whole.little<std::uint64_t>() == crc64(bytes.first(magic.size() + body.size())), "the checksum of an unaltered file", "another one");
  return {body, path, magic.size()};
}

/// Replaces `path` by the bytes, or leaves it as it was. Throws as AtomicFile does.
inline void write_file(const std::string& path, std::span<const std::uint8_t> bytes) {
  AtomicFile file(path);
  file.write(bytes);
  file.commit();
}

inline void write_file(const std::string& path, std::string_view text) {
  write_file(path, std::span(reinterpret_cast<const std::uint8_t*>(text.data()), text.size()));
}

}  // namespace tombola::inline TOMBOLA_ISA
