/// \file
/// tombola: what a ticket holds, whether it is intact, and how well its network does.
#include <CLI/CLI.hpp>
#include <nlohmann/json.hpp>

#include <cstdio>
#include <exception>
#include <memory>
#include <new>
#include <string>

#include "support/evaluate.hpp"
#include "support/image_task.hpp"
#include "support/standard_output.hpp"
#include "support/text_task.hpp"

namespace {

using namespace tombola;  // NOLINT: a program of this library

nlohmann::ordered_json describe(const ticket::Ticket& ticket) {
  nlohmann::ordered_json layers = nlohmann::ordered_json::array(), units = nlohmann::ordered_json::array();
  Index total = 0, kept = 0;
  for (const auto& layer : ticket.layers) {
    layers.push_back({{"name", layer.name},
                      {"shape", std::vector<Index>(layer.shape.begin(), layer.shape.end())},
                      {"init", name_of(layer.weights.init)},
                      {"scale", layer.weights.scale},
                      {"stream", layer.weights.id},
                      {"weights_hash", concat(std::hex, layer.weights_hash)},
                      {"kept", layer.mask.count()}});
    total += layer.mask.size();
    kept += layer.mask.count();
  }
  for (const auto& group : ticket.units) units.push_back({{"name", group.name}, {"units", group.mask.size()}, {"kept", group.mask.count()}});
  return {{"version", concat(ticket.version.major, ".", ticket.version.minor, ".", ticket.version.patch)},
          {"seed", ticket.seed},
          {"properties", ticket.properties},
          {"weights", total},
          {"kept", kept},
          {"sparsity", 1 - static_cast<double>(kept) / static_cast<double>(total)},
          {"entropy_bytes", ticket::entropy_bytes(ticket)},
          {"layers", layers},
          {"units", units},
          {"statistics", ticket.statistics.size()}};
}

void inspect(const std::string& file, bool as_json) {
  const auto about = describe(ticket::load(file));
  if (as_json) {
    std::printf("%s\n", about.dump(2).c_str());
    return;
  }
  std::printf("%s: ticket of format %s, seed %llu\n", file.c_str(), about["version"].get<std::string>().c_str(),
              about["seed"].get<unsigned long long>());
  for (const auto& [key, value] : about["properties"].items()) std::printf("  %-12s %s\n", key.c_str(), value.get<std::string>().c_str());
  for (const auto& layer : about["layers"]) {
    std::printf("  %-12s %-14s %-16s kept %lld\n", layer["name"].get<std::string>().c_str(), layer["shape"].dump().c_str(),
                layer["init"].get<std::string>().c_str(), layer["kept"].get<long long>());
  }
  for (const auto& group : about["units"]) {
    std::printf("  %-12s %lld units, kept %lld\n", group["name"].get<std::string>().c_str(), group["units"].get<long long>(),
                group["kept"].get<long long>());
  }
  std::printf("kept %lld of %lld weights: %.2f%% sparse; masks hold %.0f bytes of information\n", about["kept"].get<long long>(),
              about["weights"].get<long long>(), 100 * about["sparsity"].get<double>(), about["entropy_bytes"].get<double>());
  if (!about["units"].empty()) std::printf("(weights of removed units are counted as kept: this ticket removes whole units)\n");
}

void verify(const std::string& file) {
  const ticket::Ticket ticket = ticket::load(file);
  for (const auto& layer : ticket.layers) {
    if (!ticket::regenerates(layer)) {
      throw std::runtime_error(concat(file, ": expected seed ", ticket.seed, " to give the weights of ", layer.name,
                                      " that the mask was found for, got others"));
    }
  }
  std::printf("%s: intact; the weights of %zu layers regenerate from seed %llu\n", file.c_str(), ticket.layers.size(),
              static_cast<unsigned long long>(ticket.seed));
}

/// The test images that a ticket's network was not searched on, in batches.
std::unique_ptr<examples::BatchSource> test_images(const ticket::Ticket& ticket, const std::string& file, const data::Images& test,
                                                   const std::string& folder, const Context& context) {
  const examples::PropertyReader properties(ticket.properties, file);
  const std::string image = properties.text("image");
  if (examples::image_property(test) != image) {
    throw std::runtime_error(concat(folder, ": expected images of ", image, " (height, width, channels), got ", examples::image_property(test)));
  }
  if (test.classes > properties.count("classes")) {
    throw std::runtime_error(concat(folder, ": expected at most ", properties.count("classes"), " classes, got ", test.classes));
  }
  return examples::batch_source<data::Batches<float>>(
      test, examples::evaluation_options(examples::evaluation_batch(ticket.properties), examples::input_statistics(ticket, file), context));
}

void evaluate(const std::string& file, const std::string& given, int threads) {
  const ticket::Ticket ticket = ticket::load(file, Index{1} << 28);  // a network of at most some GB
  examples::Network network = examples::ticket_network(ticket, file);
  const examples::PropertyReader properties(ticket.properties, file);
  Context context(threads);
  nlohmann::ordered_json result;
  if (properties.text("network") == "gpt") {
    const std::string path = examples::find_text(given);
    const examples::TextParts parts(path, data::read_text(path), examples::alphabet_of(properties), properties.count("length"));
    const auto batches = parts.in_order(examples::Part::test, examples::evaluation_batch(ticket.properties));
    const examples::Score score = examples::score(context, network, *batches, Reading::binary);
    result = {{"data", path}, {"characters", score.labels}, {"bits_per_character", score.bits}, {"accuracy", score.accuracy}};
  } else {
    const std::string data_set = properties.text("image") == "32,32,3" ? "cifar10" : "mnist";
    const examples::DataSource source = examples::find_data(given, data_set);
    const data::Images test = examples::load_images(source.folder, data_set).test;
    const auto batches = test_images(ticket, file, test, source.folder, context);
    result = {{"data", source.folder}, {"images", test.count()}, {"accuracy", examples::score(context, network, *batches, Reading::binary).accuracy}};
  }
  std::printf("%s\n", result.dump(-1, ' ', false, nlohmann::ordered_json::error_handler_t::replace).c_str());  // a path may not be UTF-8
}

}  // namespace

int main(int argc, char** argv) {
  CLI::App app("What a ticket (.tombola) holds, whether it is intact, and how well its network does.", "tombola");
  app.require_subcommand(1);
  std::string file, data;
  bool as_json = false;
  int threads = available_threads();
  auto* inspect_command = app.add_subcommand("inspect", "print seed, layers, properties and sizes");
  auto* verify_command = app.add_subcommand("verify", "status 0 only for an intact ticket whose weights regenerate from its seed");
  auto* eval_command = app.add_subcommand("eval", "how well the ticket's network does on the test set");
  for (auto* command : {inspect_command, verify_command, eval_command}) command->add_option("FILE", file, "a ticket")->required();
  inspect_command->add_flag("--json", as_json, "for programs");
  eval_command->add_option("--data", data, "folder with CIFAR-10 or a data set in MNIST's format, or a text file, whose last tenth it is; default as for the searches");
  eval_command->add_option("--threads", threads, "processors to use")->check(CLI::Range(1, 1024))->capture_default_str();
  CLI11_PARSE(app, argc, argv);
  try {
    if (*inspect_command) inspect(file, as_json);
    if (*verify_command) verify(file);
    if (*eval_command) evaluate(file, data, threads);
    examples::check_standard_output();
    return 0;
  } catch (const std::bad_alloc&) {
    std::fprintf(stderr, "tombola: %s: not enough memory for this ticket\n", file.c_str());
    return 1;
  } catch (const std::exception& error) {
    std::fprintf(stderr, "tombola: %s\n", error.what());
    return 1;
  }
}
