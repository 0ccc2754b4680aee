/// \file
/// The options of searches on the command line.
#pragma once

#include <CLI/CLI.hpp>

#include "support/config.hpp"

namespace examples {

/// Declares what every search has, on the command line.
void add_options(CLI::App& app, Config& c);
/// Declares what searches in fully connected networks on MNIST have besides.
void add_lenet_options(CLI::App& app, Config& c);
/// Declares what searches in networks for CIFAR-10 have besides.
void add_image_options(CLI::App& app, Config& c);
/// Throws `std::runtime_error` for an option on the command line that the network does not have.
void check_image_options(const CLI::App& app, const Config& c);
/// Declares what searches in transformers on text have besides.
void add_text_options(CLI::App& app, Config& c);

}  // namespace examples
