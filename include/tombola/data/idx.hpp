/// \file
/// The idx format, in which MNIST and its successors are published: big-endian, one array a file.
#pragma once

#include <cstdio>
#include <string>

#include "tombola/core/file.hpp"
#include "tombola/core/view.hpp"

namespace tombola::inline TOMBOLA_ISA::data {

namespace detail {

inline std::string hexadecimal(std::uint32_t number) {
  char text[11];
  std::snprintf(text, sizeof text, "0x%08x", static_cast<unsigned>(number));
  return text;
}

}  // namespace detail

/// The array of unsigned bytes in an idx file: the magic number 0x0000 08 rank, one 32-bit extent an axis, the elements
/// in row-major order. `rank` 1 to 3, or 0 for any of these; `name` is the path for messages. Borrows the bytes.
/// Throws `std::runtime_error` with offset, expected and got if the element type or the rank is another one, an extent
/// is zero, or the extents call for more or fewer bytes than follow. Allocates nothing.
/// Source: LeCun, Cortes, Burges, "The MNIST database of handwritten digits", section "File formats".
inline View<const std::uint8_t> parse_idx(std::span<const std::uint8_t> bytes, const std::string& name, int rank = 0) {
  require(rank >= 0 && rank <= 3, "parse_idx: expected a rank of 1 to 3, or 0 for any, got ", rank);
  constexpr std::uint32_t unsigned_bytes = 0x00000800;
  constexpr std::uint64_t most_elements = std::uint64_t{1} << 40;

  Reader reader(bytes, name);
  const auto magic = reader.big<std::uint32_t>();
  const auto lowest = unsigned_bytes + static_cast<std::uint32_t>(rank == 0 ? 1 : rank);
  const auto highest = unsigned_bytes + static_cast<std::uint32_t>(rank == 0 ? 3 : rank);
  if (magic < lowest || magic > highest) {
    const std::string range = lowest == highest ? "" : " to " + detail::hexadecimal(highest);
    refuse_file(name, 0, concat("the magic number ", detail::hexadecimal(lowest), range, " (idx of unsigned bytes)"), detail::hexadecimal(magic));
  }

  Index extents[3];
  std::uint64_t count = 1;
  const Index axes = static_cast<Index>(magic - unsigned_bytes);
  for (Index axis = 0; axis < axes; ++axis) {
    const std::uint64_t at = reader.offset();
    const auto extent = reader.big<std::uint32_t>();
    if (extent == 0) refuse_file(name, at, concat("an extent of at least 1 on axis ", axis), 0);
    extents[axis] = static_cast<Index>(extent);
    count = reader.product(count, extent, most_elements);
  }
  const auto elements = reader.bytes(count);
  reader.expect_end();
  return {elements.data(), Shape(extents, axes)};
}

}  // namespace tombola::inline TOMBOLA_ISA::data
