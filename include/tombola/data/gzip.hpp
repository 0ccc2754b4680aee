/// \file
/// Files compressed by gzip, read whole. Needs zlib (`-lz`), so the umbrella header leaves it out.
#pragma once

#include <zlib.h>

#include <algorithm>
#include <new>
#include <string>

#include "tombola/core/file.hpp"

namespace tombola::inline TOMBOLA_ISA::data {

/// Whether the bytes begin as a gzip member does.
inline bool is_gzip(std::span<const std::uint8_t> bytes) noexcept {
  return bytes.size() >= 2 && bytes[0] == 0x1F && bytes[1] == 0x8B;
}

namespace detail {

struct Inflater : z_stream {
  Inflater() : z_stream{} {
    constexpr int gzip_only = 16;
    if (::inflateInit2(this, gzip_only + MAX_WBITS) != Z_OK) throw std::bad_alloc();
  }
  Inflater(const Inflater&) = delete;
  Inflater& operator=(const Inflater&) = delete;
  ~Inflater() { ::inflateEnd(this); }
};

}  // namespace detail

/// What the gzip stream holds: one or more members, their contents joined. `name` is the path for messages, whose
/// offsets count compressed bytes. Memory grows with what is really there: at most twice `limit` is touched.
/// Throws `std::runtime_error` if the stream is malformed or truncated, a checksum or length differs, anything else
/// follows the last member, or more than `limit` bytes come out.
/// Source: Deutsch, "GZIP file format specification version 4.3", RFC 1952, 1996.
inline Bytes gunzip(std::span<const std::uint8_t> compressed, const std::string& name, std::uint64_t limit) {
  constexpr std::uint64_t largest_step = std::uint64_t{1} << 30;          // zlib counts in unsigned int
  const std::uint64_t most = std::min(limit, ~std::uint64_t{0} - 1) + 1;  // one more, to see that there is more
  const std::uint64_t size = compressed.size();
  std::uint64_t consumed = 0, produced = 0;
  detail::Inflater stream;
  Bytes bytes;
  for (;;) {
    if (produced == bytes.size()) bytes.resize(std::min(most, std::max({std::uint64_t{4096}, 4 * size, 2 * produced})));
    const auto given = static_cast<uInt>(std::min(largest_step, size - consumed));
    const auto room = static_cast<uInt>(std::min(largest_step, bytes.size() - produced));
    stream.next_in = const_cast<Bytef*>(compressed.data() + consumed);
    stream.avail_in = given;
    stream.next_out = bytes.data() + produced;
    stream.avail_out = room;
    const int status = ::inflate(&stream, Z_NO_FLUSH);
    consumed += given - stream.avail_in;
    produced += room - stream.avail_out;
    if (produced > limit) refuse_file(name, consumed, concat("at most ", limit, " inflated bytes"), "more");
    if (status == Z_STREAM_END) {
      if (consumed == size) break;
      if (!is_gzip(compressed.subspan(consumed)))
        refuse_file(name, consumed, "the end or another gzip member",
                    concat(size - consumed, " bytes of something else"));
      ::inflateReset(&stream);
    } else if (status == Z_MEM_ERROR) {
      throw std::bad_alloc();
    } else if (status != Z_OK && status != Z_BUF_ERROR) {
      refuse_file(name, consumed, "an intact gzip stream", stream.msg == nullptr ? "a broken one" : stream.msg);
    } else if (consumed == size) {
      refuse_file(name, consumed, "more of the gzip stream", "the end of the file (it is truncated)");
    }
  }
  bytes.resize(produced);
  return bytes;
}

/// The whole file, inflated if it begins as a gzip file does. Neither the file nor what it holds may exceed `limit`
/// bytes. Throws as `read_file` and `gunzip` do.
inline Bytes read_maybe_gzip(const std::string& path, std::uint64_t limit = std::uint64_t{1} << 32) {
  Bytes bytes = read_file(path, limit);
  return is_gzip(bytes) ? gunzip(bytes, path, limit) : bytes;
}

}  // namespace tombola::inline TOMBOLA_ISA::data
