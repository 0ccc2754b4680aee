// What a dependent writes first: a tensor, a gated layer, a step. The builds beside this file compile it.
#include <tombola/eigen.hpp>
#include <tombola/tombola.hpp>

#include <cmath>
#include <cstdio>

using namespace tombola;

int main() {
  Context context(2);
  nn::Init init{.seed = 1};
  nn::Linear<nn::Gated> layer(init, "layer", 4, 3);
  const auto gates = nn::gates(layer);
  optim::Adam<float> adam(context, gates);
  const Tensor<float> x({2, 4}, {1, 2, 3, 4, 5, 6, 7, 8});
  const Tensor<std::int32_t> labels({2}, {0, 2});

  float first = 0, last = 0;
  for (std::uint32_t step = 0; step < 50; ++step) {
    Tape<float> tape(context, {.seed = 1, .step = step});
    const auto loss = cross_entropy(layer(tape.input(x)), labels.view());
    (step == 0 ? first : last) = loss.item();
    tape.backward(loss);
    adam.step();
  }
  const float largest = as_eigen(gates[0]->theta).maxCoeff();
  const bool learned = last < first && largest <= 1.25f;
  std::printf("tombola %s (%s)\n", learned ? "works" : "does not learn", isa_name);
  return learned ? 0 : 1;
}
