/// \file
/// The smallest search: a strong ticket in LeNet-300-100. usage: first_ticket MNIST_FOLDER
#include <tombola/data/mnist.hpp>
#include <tombola/tombola.hpp>

#include <cstdio>

using namespace tombola;

struct LeNet {  // 784-300-100-10; weights are drawn from the seed and never change
  nn::Linear<nn::Gated> fc1, fc2, fc3;
  explicit LeNet(nn::Init init) : fc1(init, "fc1", 784, 300), fc2(init, "fc2", 300, 100), fc3(init, "fc3", 100, 10) {}
  auto operator()(Var<float> x) { return fc3(leaky_relu(fc2(leaky_relu(fc1(x))))); }
  auto members() { return std::tie(fc1, fc2, fc3); }
};

int main(int argc, char** argv) {
  const data::TrainAndTest mnist = data::load_mnist(argc > 1 ? argv[1] : ".");
  data::Batches<float> train(mnist.train, {.size = 128}), test(mnist.test, {.size = 1000});
  Context context;
  LeNet net({.seed = 1, .rescale = Rescale::layer});
  optim::Adam<float> adam(context, nn::gates(net));  // takes gates, and nothing else

  for (std::uint32_t epoch = 0, step = 0; epoch < 5; ++epoch) {
    for (const auto batch : train.epoch(epoch)) {
      Tape<float> tape(context, {.seed = 1, .step = step++});  // each step draws its gates anew
      const auto error = cross_entropy(net(tape.input(batch.rows())), batch.labels);
      tape.backward(error + gate_penalty(tape, nn::gates(net), Penalty::sparse, 1e-5f));
      adam.step();
    }
    Index correct = 0;
    for (const auto batch : test.epoch(0)) {
      Inference<float> pass(context);  // no tape; gates are read as a binary mask
      correct += count_correct(net(pass.input(batch.rows())).value(), batch.labels);
    }
    std::printf("epoch %u: %td of %td test images\n", epoch, correct, mnist.test.count());
  }
  ticket::save(ticket::make_ticket(net), "first.tombola");
}
