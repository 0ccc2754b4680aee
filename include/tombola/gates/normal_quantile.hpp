/// \file
/// NormalQuantile: the inverse normal distribution function with the same bits on every machine and compiler.
/// docs/ticket-format.md specifies the operations.
#pragma once

#include <array>
#include <bit>
#include <cfloat>
#include <cmath>
#include <cstdint>
#include <limits>

#include "tombola/core/isa.hpp"

namespace tombola::inline TOMBOLA_ISA {

static_assert(std::numeric_limits<float>::is_iec559 && std::numeric_limits<double>::is_iec559 &&
                  (FLT_EVAL_METHOD == 0 || FLT_EVAL_METHOD == 16),
              "frozen weights need IEEE arithmetic in float and double: SSE2 rather than x87, no -ffast-math");
#ifdef __FAST_MATH__
#error "frozen weights need IEEE arithmetic: compile without -ffast-math"
#endif

namespace detail {

/// Keeps the compiler from fusing a product with a later sum (-ffp-contract=fast, the default of g++): a product passes
/// through an exclusive or with a zero that the compiler cannot know, so it must be rounded first. One vector
/// instruction; unlike an `asm` barrier it leaves loops vectorisable, and unlike a pragma every compiler obeys it.
class Rounding {
 public:
  double operator()(double product) const noexcept {
    return std::bit_cast<double>(std::bit_cast<std::uint64_t>(product) ^ zero_);
  }
  float operator()(float product) const noexcept {
    return std::bit_cast<float>(std::bit_cast<std::uint32_t>(product) ^ static_cast<std::uint32_t>(zero_));
  }

 private:
  static std::uint64_t unknown_zero() noexcept {
    volatile std::uint64_t zero = 0;
    return zero;
  }
  std::uint64_t zero_ = unknown_zero();
};

/// (..(c[0] x + c[1]) x + ..) x + c[n - 1], every operation rounded.
template <std::size_t n>
double polynomial(const std::array<double, n>& c, double x, Rounding rounded) noexcept {
  double sum = c[0];
  for (std::size_t i = 1; i < n; ++i) sum = rounded(sum * x) + c[i];
  return sum;
}

/// The inverse of the normal distribution function in double, from + - * / and sqrt in a fixed order.
/// Source: Wichura, "Algorithm AS 241: the percentage points of the normal distribution", Applied Statistics 1988,
/// PPND16, whose third branch (p < 1e-11) is never reached here.
struct NormalQuantile {
  static constexpr std::array<double, 8> central_top = {
      2.5090809287301226727e+3, 3.3430575583588128105e+4, 6.7265770927008700853e+4, 4.5921953931549871457e+4,
      1.3731693765509461125e+4, 1.9715909503065514427e+3, 1.3314166789178437745e+2, 3.3871328727963666080e+0};
  static constexpr std::array<double, 8> central_bottom = {
      5.2264952788528545610e+3, 2.8729085735721942674e+4, 3.9307895800092710610e+4, 2.1213794301586595867e+4,
      5.3941960214247511077e+3, 6.8718700749205790830e+2, 4.2313330701600911252e+1, 1.0};
  static constexpr std::array<double, 8> tail_top = {
      7.74545014278341407640e-4, 2.27238449892691845833e-2, 2.41780725177450611770e-1, 1.27045825245236838258e+0,
      3.64784832476320460504e+0, 5.76949722146069140550e+0, 4.63033784615654529590e+0, 1.42343711074968357734e+0};
  static constexpr std::array<double, 8> tail_bottom = {
      1.05075007164441684324e-9, 5.47593808499534494600e-4, 1.51986665636164571966e-2, 1.48103976427480074590e-1,
      6.89767334985100004550e-1, 1.67638483018380384940e+0, 2.05319162663775882187e+0, 1.0};
  /// artanh(s) / s - 1 in s^2, over s^2.
  static constexpr std::array<double, 9> artanh = {1.0 / 19, 1.0 / 17, 1.0 / 15, 1.0 / 13, 1.0 / 11,
                                                   1.0 / 9,  1.0 / 7,  1.0 / 5,  1.0 / 3};

  Rounding rounded;

  /// For |q| <= .425, p = 1/2 + q.
  double central(double q) const noexcept {
    const double r = 0.180625 - rounded(q * q);
    return q * polynomial(central_top, r, rounded) / polynomial(central_bottom, r, rounded);
  }
  /// For |q| > .425, p = 1/2 + q.
  double tail(double q) const noexcept {
    const double r = std::sqrt(-log(0.5 - std::abs(q))) - 1.6;
    const double z = polynomial(tail_top, r, rounded) / polynomial(tail_bottom, r, rounded);
    return q < 0 ? -z : z;
  }
  /// log(x) for normal x > 0: x = 2^e m with 11/16 <= m < 11/8, log m = 2 artanh((m - 1) / (m + 1)).
  double log(double x) const noexcept {
    constexpr std::uint64_t lower = 0x3FE6000000000000;  // the bits of 11/16, where the exponent shall step
    const std::uint64_t bits = std::bit_cast<std::uint64_t>(x);
    const std::uint64_t exponent = (bits - lower) & 0xFFF0000000000000;
    const auto e = static_cast<double>(static_cast<std::int32_t>(exponent >> 32) / (1 << 20));
    const double m = std::bit_cast<double>(bits - exponent);
    const double s = (m - 1.0) / (m + 1.0);
    const double square = rounded(s * s);
    const double ratio = 1.0 + rounded(square * polynomial(artanh, square, rounded));
    return rounded(e * 0x1.62E42FEFA39EFp-1) + rounded((s + s) * ratio);
  }
};

}  // namespace detail

}  // namespace tombola::inline TOMBOLA_ISA
