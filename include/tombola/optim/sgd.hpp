/// \file
/// Stochastic gradient descent with momentum, for trained weights: dense twins and joint training.
#pragma once

#include <cmath>
#include <limits>
#include <vector>

#include "tombola/autograd/parameter.hpp"
#include "tombola/kernels/elementwise.hpp"

namespace tombola::inline TOMBOLA_ISA::optim {

struct SgdOptions {
  double rate = 0.05;
  double momentum = 0.9;
  double weight_decay = 0;
};

/// u <- momentum u + (g + weight_decay w),  w <- w - rate u.
/// Source: Sutskever, Martens, Dahl, Hinton, "On the importance of initialization and momentum in deep learning", ICML 2013.
template <class T>
class Sgd {
 public:
  /// Borrows the context and the parameters. Throws `std::invalid_argument` for options out of range.
  Sgd(Context& context, std::vector<Parameter<T>*> parameters, const SgdOptions& options = {})
      : context_(&context),
        parameters_(std::move(parameters)),
        options_(options) {
    set_rate(options.rate);
    require(options.momentum >= 0 && static_cast<T>(options.momentum) < 1, "sgd: expected a momentum in [0, 1), got ",
            options.momentum);
    require(options.weight_decay >= 0 && std::isfinite(static_cast<T>(options.weight_decay)), "sgd: expected a finite weight decay of at least 0, got ",
            options.weight_decay);
    for (Parameter<T>* parameter : parameters_) {
      if (parameter->momentum.size() != parameter->value.size()) parameter->momentum = Tensor<T>(parameter->shape());
    }
  }

  /// Throws `std::invalid_argument` for a rate below 0, or that is not finite in the type of the weights.
  void set_rate(double rate) {
    require(rate >= 0 && rate <= std::numeric_limits<T>::max(), "sgd: expected a finite rate of at least 0, got ", rate);
    options_.rate = rate;
  }

  /// One step with the gradients that the backward passes since the last step left. Clears them.
  void step() {
    const T rate = static_cast<T>(options_.rate), momentum = static_cast<T>(options_.momentum);
    const T decay = static_cast<T>(options_.weight_decay);
    for (Parameter<T>* p : parameters_) {
      if (!p->has_gradient) continue;
      T *w = p->value.data(), *u = p->momentum.data();
      kernels::map(
          context_->threads(), p->value.size(),
          [=](const auto& g, const auto& v, const auto& old) {
            return simd::fma(old, decltype(old * old)(momentum), g + v * decay);
          },
          u, p->gradient.data(), static_cast<const T*>(w), static_cast<const T*>(u));
      kernels::map(
          context_->threads(), p->value.size(), [=](const auto& v, const auto& by) { return v - by * rate; }, w,
          static_cast<const T*>(w), static_cast<const T*>(u));
      p->clear_gradient();
    }
  }

 private:
  Context* context_;
  std::vector<Parameter<T>*> parameters_;
  SgdOptions options_;
};

}  // namespace tombola::inline TOMBOLA_ISA::optim
