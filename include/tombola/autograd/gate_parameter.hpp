/// \file
/// GateParameter: the learned parameters of one layer's gates, and what the last backward pass left for the optimiser.
#pragma once

#include <cmath>
#include <string>
#include <vector>

#include "tombola/autograd/pass.hpp"
#include "tombola/core/bits.hpp"

namespace tombola::inline TOMBOLA_ISA {

/// Which width sigma the Gaussian noise of a layer has: a constant, one learned number, or one learned number per gate.
enum class SigmaMode : std::uint8_t { fixed = 0, layer = 1, gate = 2 };

/// Learned widths, as log sigma, with their Adam moments; one element or one per gate.
template <class T>
struct LearnedSigma {
  static constexpr T least = T(0.1), largest = T(1);  ///< sigma is kept in this range
  Tensor<T> log_sigma, m, v;
  Tensor<T> sigmas;              ///< exp(log_sigma) per gate; only where there is one per gate
  bool through_penalty = false;  ///< whether the penalty's gradient reaches sigma (alone, it would drive sigma up)
};

/// The gates of one layer: `theta` is mu (Gaussian) or log alpha (hard-concrete), one per gate. Only `optim::Adam` changes it.
template <class T>
struct GateParameter {
  std::string name;
  std::uint32_t id = 0;  ///< of the noise stream
  GateKind kind = GateKind::gaussian;
  Tensor<T> theta, m, v;
  T sigma = T(0.5);
  SigmaMode sigma_mode = SigmaMode::fixed;
  LearnedSigma<T> learned_sigma;
  T reach = T(0);                 ///< the gradient flows where -reach < z < 1 + reach before the clamp
  T sharpness = T(1);             ///< of the clamp around 1/2
  T low = T(-1), high = T(1.25);  ///< theta is clamped to these after every step
  View<const T> weight;           ///< the frozen weight that each gate multiplies; empty for structured gates
  T cost = T(1);                  ///< of one gate in the penalty: 1, or the number of weights that it removes

  // d loss / d theta_i = (dproduct_i weight_i + dz_all) dz_i/dtheta_i + penalty_weight cost d penalty_i/dtheta_i, kept in
  // these parts so that the optimiser can do everything in one pass.
  bool pending = false;  ///< whether the following hold the gradient of a backward pass
  Tensor<T> dproduct;    ///< d loss / d (z weight), or d loss / dz where `dproduct_is_dz`
  bool dproduct_is_dz = false;
  std::vector<std::uint64_t> open;  ///< bit i: the gradient flows through gate i
  Tensor<T> slope;                  ///< dz/dtheta, where it is not just that bit
  T dz_all = T(0);                  ///< d loss / dz that all gates share (rescaling)
  Stream noise;                     ///< of the draw
  std::uint64_t draws = 0;          ///< how many passes have drawn these gates: only the last can run backwards
  Penalty penalty = Penalty::none;
  T penalty_weight = T(0);
  Tensor<T> gradient;        ///< explicit d loss / d theta without the penalty, of earlier passes
  Tensor<T> sigma_gradient;  ///< explicit d loss / d sigma, likewise
  bool has_gradient = false;

  const Shape& shape() const noexcept { return theta.shape(); }
  Index size() const noexcept { return theta.size(); }
  /// The shared Var of a pass is kept under this key; the rescaling factor under the other.
  const void* value_key() const noexcept { return &theta; }
  const void* scale_key() const noexcept { return &dproduct; }
  const T* weight_data() const noexcept { return weight.size() == 0 ? nullptr : weight.data(); }
  const T* sigma_data() const noexcept { return sigma_mode == SigmaMode::gate ? learned_sigma.sigmas.data() : nullptr; }
  /// After `learned_sigma.log_sigma` has changed: sigma = exp(log sigma).
  void update_sigma() noexcept {
    if (sigma_mode == SigmaMode::layer) sigma = std::exp(learned_sigma.log_sigma[0]);
    for (Index i = 0; i < learned_sigma.sigmas.size(); ++i) learned_sigma.sigmas[i] = std::exp(learned_sigma.log_sigma[i]);
  }
  void clear_gradient() noexcept {
    pending = has_gradient = false;
    dz_all = penalty_weight = T(0);
  }
};

}  // namespace tombola::inline TOMBOLA_ISA
