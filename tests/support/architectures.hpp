/// \file
/// The architectures that a kernel test runs on: the distinct ones of those this program is compiled for.
#pragma once

#include <doctest/doctest.h>

#include <tuple>
#include <type_traits>

#include "tombola/kernels/simd.hpp"

namespace tombola::test {

/// An element type on an architecture: what a kernel test is templated on.
template <class Element, class Architecture>
struct On {
  using T = Element;
  using Arch = Architecture;
};

namespace detail {

template <class Tuple, class... More>
using append = decltype(std::tuple_cat(std::declval<Tuple>(), std::tuple<More...>{}));

/// One family for each width and instruction set that matters; what the compiler may use here, this machine runs.
template <class Arch>
using if_supported = std::conditional_t<Arch::supported(), std::tuple<Arch>, std::tuple<>>;

template <class Arch>
inline constexpr bool listed = std::is_same_v<Arch, xsimd::sse2> || std::is_same_v<Arch, xsimd::fma3<xsimd::avx2>> ||
                               std::is_same_v<Arch, xsimd::avx512bw> || std::is_same_v<Arch, xsimd::neon64>;

using List = decltype(std::tuple_cat(
    if_supported<xsimd::sse2>{}, if_supported<xsimd::fma3<xsimd::avx2>>{}, if_supported<xsimd::avx512bw>{},
    if_supported<xsimd::neon64>{}, std::conditional_t<listed<simd::Native>, std::tuple<>, std::tuple<simd::Native>>{}));

template <class T, class Archs>
struct Paired;
template <class T, class... Archs>
struct Paired<T, std::tuple<Archs...>> {
  using type = std::tuple<On<T, Archs>...>;
};

}  // namespace detail

using FloatOnEach = detail::Paired<float, detail::List>::type;
using DoubleOnEach = detail::Paired<double, detail::List>::type;
/// float and double on each architecture, for TEST_CASE_TEMPLATE_APPLY.
using OnEach = decltype(std::tuple_cat(FloatOnEach{}, DoubleOnEach{}));

/// Whether `simd::fma` rounds once there.
template <class Arch>
inline constexpr bool rounds_fma_once = simd::is_avx512<Arch> || std::is_base_of_v<xsimd::fma3<xsimd::avx2>, Arch> ||
                                        std::is_base_of_v<xsimd::neon64, Arch>;

}  // namespace tombola::test
