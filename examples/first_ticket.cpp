/// \file
/// The smallest search: a strong ticket in LeNet-300-100, from MNIST to a file. usage: first_ticket MNIST_FOLDER
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
  const data::Statistics statistics = data::mean_and_deviation(mnist.train);
  data::Batches<float> train(mnist.train, {.size = 128, .statistics = statistics}), test(mnist.test, {.size = 1000, .statistics = statistics});
  Context context;
  LeNet net({.seed = 1, .rescale = Rescale::layer});
  const auto gates = nn::gates(net);
  optim::Adam<float> adam(context, gates, {.rate = 0.05});  // takes gates, and nothing else

  const std::uint32_t epochs = 5, steps = epochs * static_cast<std::uint32_t>(train.count());
  for (std::uint32_t epoch = 0, step = 0; epoch < epochs; ++epoch) {
    for (const auto batch : train.epoch(epoch)) {
      Tape<float> tape(context, {.seed = 1, .step = step});
      const auto loss = cross_entropy(net(tape.input(batch.rows())), batch.labels) + gate_penalty<float>(tape, gates, Penalty::sparse, 1e-5f);
      tape.backward(loss);
      adam.set_rate(optim::cosine_rate(0.05, static_cast<double>(step++) / steps));
      adam.step();
    }
  }

  Index correct = 0;
  for (const auto batch : test.epoch(0)) {
    Inference<float> pass(context);
    correct += count_correct(net(pass.input(batch.rows())).value(), batch.labels);
  }
  ticket::save(ticket::make_ticket(net), "first.tombola");
  std::printf("%.2f%% of the test images; the ticket is in first.tombola\n", 100.0 * static_cast<double>(correct) / static_cast<double>(mnist.test.count()));
}
