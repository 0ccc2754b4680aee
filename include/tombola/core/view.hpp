/// \file
/// View: a borrowed, contiguous, row-major array with a shape.
#pragma once

#include <cassert>
#include <type_traits>

#include "tombola/core/shape.hpp"

namespace tombola::inline TOMBOLA_ISA {

namespace detail {

/// The elements at `data` under the axes from `axis` on. Where `shortens`, of an axis of more than six the first and the last three.
template <class T>
void write_elements(std::ostream& out, const T* data, const Shape& shape, int axis, bool shortens) {
  if (axis == shape.rank()) {
    out << +*data;  // a byte as a number
    return;
  }
  Index stride = 1;
  for (int inner = axis + 1; inner < shape.rank(); ++inner) stride *= shape[inner];
  const auto separate = [&] {
    out << ',';
    for (int inner = axis + 1; inner < shape.rank(); ++inner) out << '\n';
    out << std::string(axis + 1 < shape.rank() ? static_cast<std::size_t>(axis) + 1 : 1, ' ');
  };
  out << '[';
  for (Index i = 0; i < shape[axis]; ++i) {
    if (i > 0) separate();
    if (shortens && i == 3 && shape[axis] > 6) {
      out << "...";
      separate();
      i = shape[axis] - 3;
    }
    write_elements(out, data + i * stride, shape, axis + 1, shortens);
  }
  out << ']';
}

}  // namespace detail

/// Borrows row-major elements; `View<const T>` only reads. Valid as long as the owner of the elements.
template <class T>
class View {
 public:
  View() = default;
  View(T* data, const Shape& shape) noexcept : data_(data), shape_(shape) {}
  /// A view that may be written converts to one that may not.
  operator View<const T>() const noexcept requires(!std::is_const_v<T>) { return {data_, shape_}; }

  T* data() const noexcept { return data_; }
  const Shape& shape() const noexcept { return shape_; }
  Index size() const noexcept { return shape_.size(); }
  T* begin() const noexcept { return data_; }
  T* end() const noexcept { return data_ + size(); }

  T& operator[](Index i) const noexcept {
    assert(i >= 0 && i < size());
    return data_[i];
  }
  /// Row i when all but the last extent are folded together.
  T* row(Index i) const noexcept {
    assert(i >= 0 && i < shape_.rows());
    return data_ + i * shape_.last();
  }

  /// The same elements under another shape. Throws `std::invalid_argument` if the number of elements differs.
  View reshape(const Shape& shape) const {
    require(shape.size() == size(), "reshape: expected ", size(), " elements, got ", shape);
    return {data_, shape};
  }
  /// Rows [first, last) along the outermost axis. Throws `std::invalid_argument` unless 0 <= first <= last <= extent.
  View slice(Index first, Index last) const {
    require(shape_.rank() > 0 && 0 <= first && first <= last && last <= shape_[0], "slice: expected a range within ",
            shape_, ", got [", first, ", ", last, ")");
    Index extents[Shape::max_rank];
    for (int i = 0; i < shape_.rank(); ++i) extents[i] = shape_[i];
    const Index stride = shape_[0] == 0 ? 0 : size() / shape_[0];
    extents[0] = last - first;
    return {data_ + first * stride, Shape(extents, shape_.rank())};
  }

  /// As in "[[1, 2],\n [3, 4]]", with the stream's precision; a scalar without brackets, no elements as "[]". Of more than 1000 elements, each axis of more
  /// than six shows its first and last three.
  friend std::ostream& operator<<(std::ostream& out, const View& view) {
    if (view.size() == 0) return out << "[]";
    detail::write_elements<std::remove_const_t<T>>(out, view.data_, view.shape_, 0, view.size() > 1000);
    return out;
  }

 private:
  T* data_ = nullptr;
  Shape shape_{0};
};

}  // namespace tombola::inline TOMBOLA_ISA
