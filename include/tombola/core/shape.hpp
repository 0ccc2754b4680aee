/// \file
/// Shape: the extents of a tensor, outermost first.
#pragma once

#include <array>
#include <cstddef>
#include <initializer_list>
#include <limits>
#include <ostream>
#include <string>

#include "tombola/core/error.hpp"

namespace tombola::inline TOMBOLA_ISA {

/// Signed, so that differences and reverse loops are safe.
using Index = std::ptrdiff_t;

/// Up to six extents, outermost first; an empty shape is a scalar (one element).
class Shape {
 public:
  static constexpr int max_rank = 6;

  Shape() = default;

  /// Throws `std::invalid_argument` if there are more than six extents, one is negative, or their product overflows.
  Shape(std::initializer_list<Index> extents) : Shape(extents.begin(), static_cast<Index>(extents.size())) {}
  [[gnu::noinline]] Shape(const Index* extents, Index rank) {
    require(rank >= 0 && rank <= max_rank, "shape: expected at most ", max_rank, " extents, got ", rank);
    for (Index i = 0; i < rank; ++i) append(extents[i]);
  }

  int rank() const noexcept { return rank_; }
  /// The number of elements.
  Index size() const noexcept { return size_; }
  Index operator[](int axis) const noexcept { return extents_[static_cast<std::size_t>(axis)]; }
  /// The last extent, 1 for a scalar: the length of a contiguous row.
  Index last() const noexcept { return rank_ == 0 ? 1 : (*this)[rank_ - 1]; }
  /// The number of rows when all but the last extent are folded together.
  Index rows() const noexcept { return rank_ == 0 ? 1 : last() == 0 ? 0 : size_ / last(); }

  /// The same with one more extent behind. Throws `std::invalid_argument` as the constructor does.
  Shape with(Index extent) const {
    require(rank_ < max_rank, "shape: expected at most ", max_rank, " extents, got one more");
    Shape longer = *this;
    longer.append(extent);
    return longer;
  }

  const Index* begin() const noexcept { return extents_.data(); }
  const Index* end() const noexcept { return extents_.data() + rank_; }

  friend bool operator==(const Shape& a, const Shape& b) noexcept {
    return a.rank_ == b.rank_ && a.extents_ == b.extents_;
  }

  /// "[5, 7]"; a scalar is "[]".
  friend std::ostream& operator<<(std::ostream& out, const Shape& shape) {
    out << '[';
    for (int i = 0; i < shape.rank_; ++i) out << (i == 0 ? "" : ", ") << shape[i];
    return out << ']';
  }

 private:
  void append(Index extent) {
    require(extent >= 0, "shape: expected extents of at least 0, got ", extent);
    require(extent == 0 || size_ <= std::numeric_limits<Index>::max() / 16 / extent,
            "shape: expected an addressable number of elements, got at least ", size_, " times ", extent);
    extents_[static_cast<std::size_t>(rank_++)] = extent;
    size_ *= extent;
  }

  std::array<Index, max_rank> extents_{};
  int rank_ = 0;
  Index size_ = 1;
};

/// "[5, 7]".
inline std::string to_string(const Shape& shape) { return concat(shape); }

}  // namespace tombola::inline TOMBOLA_ISA
