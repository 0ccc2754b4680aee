/// \file
/// Embeddings of positions that nothing learns: drawn from the seed, or waves (Vaswani et al., "Attention is all you need", NeurIPS 2017, section
/// 3.5; of images after Beyer et al., arXiv 2205.01580, whose lowest frequency is 1 / 10000 itself, and who have the place in the line first).
#pragma once

#include <cmath>
#include <cstdint>

#include "tombola/ops/bias.hpp"
#include "tombola/ops/reshape.hpp"

namespace tombola::inline TOMBOLA_ISA::nn {

/// What is added to a token to tell where it stands.
enum class Position : std::uint8_t {
  sine,   ///< sines and cosines of the position
  random  ///< drawn from the seed, never changed
};

/// p[t] = sin(t f_0) ... sin(t f_{w/2 - 1}), cos(t f_0) ... cos(t f_{w/2 - 1}) with f_i = 10000^(-i / (w / 2)), for t in [0, length), w columns.
/// Throws `std::invalid_argument` unless the columns are even, and at least 2.
template <class T = float>
Tensor<T> sine_positions(Index length, Index columns) {
  require(columns >= 2 && columns % 2 == 0, "sine_positions: expected an even number of columns, at least 2, got ", columns);
  Tensor<T> positions({length, columns});
  const Index half = columns / 2;
  for (Index t = 0; t < length; ++t) {
    for (Index i = 0; i < half; ++i) {
      const double angle = static_cast<double>(t) * std::pow(10000.0, -static_cast<double>(i) / static_cast<double>(half));
      positions[t * columns + i] = static_cast<T>(std::sin(angle));
      positions[t * columns + half + i] = static_cast<T>(std::cos(angle));
    }
  }
  return positions;
}

/// The same of two axes: the first half of the columns for the line, the second for the place in it; [height width, columns].
/// Throws `std::invalid_argument` unless 4 divides the columns, at least 4 of them.
template <class T = float>
Tensor<T> sine_positions_2d(Index height, Index width, Index columns) {
  require(columns >= 4 && columns % 4 == 0, "sine_positions_2d: expected columns that 4 divides, at least 4, got ", columns);
  const Index half = columns / 2;
  const Tensor<T> lines = sine_positions<T>(height, half), places = sine_positions<T>(width, half);
  Tensor<T> positions({height * width, columns});
  for (Index p = 0; p < height * width; ++p) {
    for (Index c = 0; c < half; ++c) {
      positions[p * columns + c] = lines[p / width * half + c];
      positions[p * columns + half + c] = places[p % width * half + c];
    }
  }
  return positions;
}

/// y[n, t] = x[n, t] + positions[t].  x [sequences, length, columns], positions of length * columns elements.
/// Throws `std::invalid_argument` for others.
template <class T>
Var<T> add_positions(const Var<T>& x, const Var<T>& positions) {
  const Shape shape = x.shape();
  require(shape.rank() == 3 && positions.shape().size() == shape[1] * shape[2],
          "add_positions: expected x [sequences, length, columns] and positions [length, columns], got ", shape, " and ", positions.shape());
  const Index row = shape[1] * shape[2];
  return reshape(add_bias(reshape(x, {shape[0], row}), reshape(positions, {row})), shape);
}

}  // namespace tombola::inline TOMBOLA_ISA::nn
