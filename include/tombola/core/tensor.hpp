/// \file
/// Tensor: an owning, contiguous, row-major array with a shape.
#pragma once

#include <algorithm>
#include <cassert>
#include <initializer_list>

#include "tombola/core/memory.hpp"
#include "tombola/core/view.hpp"

namespace tombola::inline TOMBOLA_ISA {

/// Owns row-major elements, aligned to 64 bytes. Moves; copies only by `clone()`, so that no copy is made unseen.
template <class T>
class Tensor {
  static_assert(std::is_trivially_copyable_v<T>);

 public:
  Tensor() = default;
  /// All elements zero. Throws `std::bad_alloc`.
  [[gnu::noinline]] explicit Tensor(const Shape& shape) : Tensor(uninitialized(shape)) { std::fill_n(data(), size(), T{}); }
  /// Throws `std::invalid_argument` unless the shape holds as many elements as are given.
  Tensor(const Shape& shape, std::initializer_list<T> values) : Tensor(uninitialized(shape)) {
    require(static_cast<Index>(values.size()) == size(), "tensor: expected ", size(), " values for ", shape, ", got ",
            values.size());
    std::copy(values.begin(), values.end(), data());
  }
  /// The tensor moved from is left empty, with the shape [0].
  Tensor(Tensor&& other) noexcept : block_(std::move(other.block_)), shape_(std::exchange(other.shape_, Shape{0})) {}
  [[gnu::noinline]] Tensor& operator=(Tensor&& other) noexcept {
    block_ = std::move(other.block_);
    shape_ = std::exchange(other.shape_, Shape{0});
    return *this;
  }

  [[gnu::noinline]] static Tensor uninitialized(const Shape& shape) { return Tensor(shape, Block(bytes(shape))); }
  static Tensor uninitialized(const Shape& shape, Pool& pool) { return Tensor(shape, pool.take(bytes(shape))); }
  static Tensor filled(const Shape& shape, T value) {
    Tensor tensor = uninitialized(shape);
    std::fill_n(tensor.data(), tensor.size(), value);
    return tensor;
  }
  static Tensor copy_of(View<const T> view) {
    Tensor tensor = uninitialized(view.shape());
    std::copy_n(view.data(), view.size(), tensor.data());
    return tensor;
  }
  Tensor clone() const { return copy_of(view()); }

  T* data() noexcept { return reinterpret_cast<T*>(block_.data()); }
  const T* data() const noexcept { return reinterpret_cast<const T*>(block_.data()); }
  const Shape& shape() const noexcept { return shape_; }
  Index size() const noexcept { return shape_.size(); }
  T* begin() noexcept { return data(); }
  T* end() noexcept { return data() + size(); }
  const T* begin() const noexcept { return data(); }
  const T* end() const noexcept { return data() + size(); }
  T& operator[](Index i) noexcept {
    assert(i >= 0 && i < size());
    return data()[i];
  }
  const T& operator[](Index i) const noexcept {
    assert(i >= 0 && i < size());
    return data()[i];
  }

  View<T> view() & noexcept { return {data(), shape_}; }
  View<const T> view() const& noexcept { return {data(), shape_}; }
  View<const T> view() const&& = delete;  // of elements about to go
  operator View<T>() noexcept { return {data(), shape_}; }
  operator View<const T>() const noexcept { return {data(), shape_}; }  // of a temporary as well: an argument lives as long as the call

  /// As a view is written.
  friend std::ostream& operator<<(std::ostream& out, const Tensor& tensor) { return out << tensor.view(); }

 private:
  Tensor(const Shape& shape, Block block) noexcept : block_(std::move(block)), shape_(shape) {}
  static std::size_t bytes(const Shape& shape) { return static_cast<std::size_t>(shape.size()) * sizeof(T); }

  Block block_;
  Shape shape_{0};
};

}  // namespace tombola::inline TOMBOLA_ISA
