/// \file
/// What a pass that checks says of the first output that is not finite.
#pragma once

#include <stdexcept>
#include <string>

#include "support/tensors.hpp"
#include "tombola/autograd/pass.hpp"

namespace test_support {

/// The message of the first layer of a model whose output is not finite for x, or "all is finite". Processors choose the sign of a NaN: it is left out.
template <class Model>
std::string not_finite(Model& model, const Tensor<float>& x, tombola::PassOptions options = {}) {
  options.checks_finite = true;
  tombola::Context context(1);
  tombola::Inference<float> pass(context, options);
  try {
    model(pass.input(x));
  } catch (const std::runtime_error& error) {
    std::string message = error.what();
    if (const std::size_t sign = message.find("got -nan"); sign != std::string::npos) message.erase(sign + 4, 1);
    return message;
  }
  return "all is finite";
}

}  // namespace test_support
