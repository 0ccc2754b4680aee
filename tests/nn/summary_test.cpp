#include "tombola/nn/summary.hpp"

#include <doctest/doctest.h>

#include "tombola/models/lenet.hpp"

using namespace tombola;

TEST_CASE("summary: one line for each tensor, and the totals") {
  models::LeNet<nn::Gated> gated({}, {.inputs = 784, .hidden = {300, 100}, .outputs = 10});
  CHECK(nn::summary(gated) == "fc1.weight          frozen    [300, 784]            235200\n"
                              "fc1.weight          gates     [300, 784]            235200\n"
                              "fc2.weight          frozen    [100, 300]             30000\n"
                              "fc2.weight          gates     [100, 300]             30000\n"
                              "fc3.weight          frozen    [10, 100]               1000\n"
                              "fc3.weight          gates     [10, 100]               1000\n"
                              "frozen weights 266200, trained weights 0, gates 266200\n");
  models::LeNet<nn::Trained, double> trained({}, {.inputs = 7, .hidden = {5}, .outputs = 3, .unit_gates = true});
  CHECK(nn::summary<double>(trained) == "fc1.weight          trained   [5, 7]                    35\n"
                                        "fc2.weight          trained   [3, 5]                    15\n"
                                        "units1              gates     [5]                        5\n"
                                        "frozen weights 0, trained weights 50, gates 5\n");
}
