/// \file
/// WeightLayout: where a weight lies in memory, and which number it has outside.
#pragma once

#include "tombola/core/shape.hpp"

namespace tombola::inline TOMBOLA_ISA {

/// Weights of a convolution lie as [out, height, width, in], because images lie as [batch, height, width, channels]. Their numbers, in
/// a seed's stream, a ticket's mask and files for other programs, are those of torchvision's shape [out, in, height, width].
/// Weights of another rank lie as they are numbered.
class WeightLayout {
 public:
  /// `shape`: as the weights lie.
  explicit WeightLayout(const Shape& shape) noexcept
      : shape_(shape),
        in_(shape.rank() == 4 ? shape[3] : 1),
        spatial_(shape.rank() == 4 ? shape[1] * shape[2] : 1) {}

  Shape torchvision() const { return shape_.rank() == 4 ? Shape{shape_[0], shape_[3], shape_[1], shape_[2]} : shape_; }
  /// Whether every weight lies at its number.
  bool is_plain() const noexcept { return in_ == 1 || spatial_ == 1; }
  /// The number of the weight that lies at i.
  Index number(Index i) const noexcept {
    if (is_plain()) return i;
    const Index filter = in_ * spatial_, within = i % filter;
    return i - within + within % in_ * spatial_ + within / in_;
  }
  /// to[number(i)] = from[i], and back.
  template <class T>
  void to_numbers(const T* from, T* to) const noexcept {
    for (Index i = 0; i < shape_.size(); ++i) to[number(i)] = from[i];
  }
  template <class T>
  void from_numbers(const T* from, T* to) const noexcept {
    for (Index i = 0; i < shape_.size(); ++i) to[i] = from[number(i)];
  }

 private:
  Shape shape_;
  Index in_, spatial_;
};

}  // namespace tombola::inline TOMBOLA_ISA
