/// \file
/// Images cut into windows, and patches merged: the moves of a Swin transformer.
/// Source: Liu et al., "Swin transformer", ICCV 2021; zeros are padded and patches ordered as torchvision does.
#pragma once

#include <limits>

#include "tombola/ops/move_rows.hpp"

namespace tombola::inline TOMBOLA_ISA {

namespace detail {

/// The places of pixels in images, and in windows of images that were moved up and left by `shift`, around the edge.
struct WindowPlaces {
  Index height, width, channels, window, shift;

  Index columns() const noexcept { return channels; }
  Index down() const noexcept { return divide_up(height, window); }    // windows
  Index across() const noexcept { return divide_up(width, window); }
  Index padded_height() const noexcept { return down() * window; }
  Index padded_width() const noexcept { return across() * window; }

  /// The pixel that is at row r of the windows.
  Index source(Index r) const noexcept {
    const Index b = r % window, a = r / window % window, tile = r / (window * window);
    const Index i = (tile / across() % down() * window + a + shift) % padded_height();
    const Index j = (tile % across() * window + b + shift) % padded_width();
    return i < height && j < width ? (tile / (down() * across()) * height + i) * width + j : -1;
  }
  /// The row of the windows where a pixel is.
  Index target(Index pixel) const noexcept {
    const Index i = (pixel / width % height + padded_height() - shift) % padded_height();
    const Index j = (pixel % width + padded_width() - shift) % padded_width();
    const Index tile = (pixel / (width * height) * down() + i / window) * across() + j / window;
    return (tile * window + i % window) * window + j % window;
  }
};

/// The other way round.
struct ImagePlaces {
  WindowPlaces windows;
  Index columns() const noexcept { return windows.columns(); }
  Index source(Index r) const noexcept { return windows.target(r); }
  Index target(Index r) const noexcept { return windows.source(r); }
};

/// Four pixels beside one another: q = 0, 1, 2, 3 is the upper left, lower left, upper right, lower right one.
struct PatchPlaces {
  Index height, width, channels;
  Index columns() const noexcept { return channels; }
  Index source(Index r) const noexcept {
    const Index half_height = (height + 1) / 2, half_width = (width + 1) / 2, patch = r / 4;
    const Index i = 2 * (patch / half_width % half_height) + r % 2, j = 2 * (patch % half_width) + r / 2 % 2;
    return i < height && j < width ? (patch / (half_width * half_height) * height + i) * width + j : -1;
  }
  Index target(Index pixel) const noexcept {
    const Index i = pixel / width % height, j = pixel % width, half_height = (height + 1) / 2, half_width = (width + 1) / 2;
    return 4 * ((pixel / (width * height) * half_height + i / 2) * half_width + j / 2) + i % 2 + 2 * (j % 2);
  }
};

inline WindowPlaces window_places(const char* name, const Shape& image, Index window, Index shift) {
  require(image.rank() == 4 && image.size() > 0, name, ": expected images [batch, height, width, channels] with elements, got ", image);
  require(window >= 1 && shift >= 0 && shift < window, name, ": expected a window of at least 1 and a shift below it, got ", window, " and ",
          shift);
  constexpr Index most = Index{1} << 20;
  require(window <= most, name, ": expected a window of at most ", most, ", got ", window);
  return {image[1], image[2], image[3], window, shift};
}

}  // namespace detail

/// x [batch, height, width, channels] -> [batch windows, window window, channels]: images moved up and left by `shift` pixels, what
/// leaves coming in at the other edge, then cut into windows; image by image, line by line. Where `window` does not divide an image it is
/// padded with zeros below and right, before it is moved. dx likewise.
/// Throws `std::invalid_argument` for another rank, an empty x, or unless 0 <= shift < window.
template <class T>
Var<T> to_windows(const Var<T>& x, Index window, Index shift = 0) {
  const auto places = detail::window_places("to_windows", x.shape(), window, shift);
  return detail::move_rows(x, {x.shape()[0] * places.down() * places.across(), window * window, places.channels}, places);
}

/// Back again: x = from_windows(to_windows(x, window, shift), x.shape(), window, shift).
/// Throws `std::invalid_argument` if the windows are not those of such images.
template <class T>
Var<T> from_windows(const Var<T>& windows, const Shape& image, Index window, Index shift = 0) {
  const auto places = detail::window_places("from_windows", image, window, shift);
  const Shape expected{image[0] * places.down() * places.across(), window * window, places.channels};
  require(windows.shape() == expected, "from_windows: expected windows ", expected, ", got ", windows.shape());
  return detail::move_rows(windows, image, detail::ImagePlaces{places});
}

/// x [batch, height, width, channels] -> [batch, ceil(height / 2), ceil(width / 2), 4 channels]: each 2 x 2 pixels side by side, in the
/// order upper left, lower left, upper right, lower right; zeros beyond an odd edge. dx likewise.
/// Throws `std::invalid_argument` for another rank or an empty x.
template <class T>
Var<T> merge_patches(const Var<T>& x) {
  const Shape& s = x.shape();
  require(s.rank() == 4 && s.size() > 0, "merge_patches: expected images [batch, height, width, channels] with elements, got ", s);
  return detail::move_rows(x, {s[0], (s[1] + 1) / 2, (s[2] + 1) / 2, 4 * s[3]}, detail::PatchPlaces{s[1], s[2], s[3]});
}

/// The mask for attention within windows of shifted images, [windows, window window, window window]: 0 where both pixels come from the
/// same side of each edge, else -infinity. Throws `std::invalid_argument` as `to_windows` does.
template <class T = float>
Tensor<T> shifted_window_mask(Index height, Index width, Index window, Index shift) {
  const auto places = detail::window_places("shifted_window_mask", {1, height, width, 1}, window, shift);
  const Index size = window * window, tiles = places.down() * places.across();
  Tensor<T> mask({tiles, size, size});
  const auto wraps = [&](Index tile, Index within) {  // around the lower edge, around the right one
    const bool below = tile / places.across() * window + within / window >= places.padded_height() - shift;
    const bool right = tile % places.across() * window + within % window >= places.padded_width() - shift;
    return 2 * below + right;
  };
  for (Index tile = 0; tile < tiles; ++tile) {
    for (Index i = 0; i < size; ++i) {
      for (Index j = 0; j < size; ++j) {
        if (wraps(tile, i) != wraps(tile, j)) mask[(tile * size + i) * size + j] = -std::numeric_limits<T>::infinity();
      }
    }
  }
  return mask;
}

}  // namespace tombola::inline TOMBOLA_ISA
