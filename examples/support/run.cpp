#include "support/run.hpp"

#include <unistd.h>

#include <cmath>
#include <cstdio>
#include <filesystem>
#include <functional>
#include <iostream>
#include <numeric>
#include <vector>

#include "support/figures.hpp"
#include "support/progress.hpp"
#include "support/run_folder.hpp"
#include "support/search.hpp"

namespace examples {

namespace {

std::string history_csv(const std::vector<EpochRecord>& history) {
  const auto measured = [](double share) {
    char digits[32];
    std::snprintf(digits, sizeof digits, "%.6f", share);
    return std::string(std::isnan(share) ? "" : digits);
  };
  std::string text =
      "epoch,steps,rate,lambda_mean,loss,train_accuracy,validation_relaxed,validation_binary,sparsity,fractional\n";
  for (const EpochRecord& row : history) {
    char line[256];
    std::snprintf(line, sizeof line, "%llu,%llu,%.9g,%.9g,%.9g,%.6f,%s,%s,%.6f,%.6f\n",
                  static_cast<unsigned long long>(row.epoch), static_cast<unsigned long long>(row.steps), row.rate,
                  row.lambda, row.loss, row.train_accuracy, measured(row.validation_relaxed).c_str(),
                  measured(row.validation_binary).c_str(), row.pruned, row.fractional);
    text += line;
  }
  return text;
}

/// The figures of a finished search, as SVG files in the folder.
void write_figures(const std::string& folder, const std::string& subtitle, const std::vector<EpochRecord>& history, Network& network) {
  std::vector<EpochRow> rows;
  for (const EpochRecord& row : history) rows.push_back({static_cast<double>(row.epoch), row.pruned, row.validation_binary});
  write_file(folder + "/search.svg", search_figure(rows, subtitle));
  const auto all = nn::gates(network);
  if (all.empty()) return;
  const bool gaussian = all[0]->kind == GateKind::gaussian;
  const auto edges = gaussian ? bin_edges() : bin_edges(-5, 5);
  std::vector<LayerRow> layers;
  std::vector<GateHistogram> histograms;
  for (const auto* gate : all) {
    const Index open = gates::counts(1, *gate).open;
    layers.push_back(
        {gate->name, 1 - static_cast<double>(open) / static_cast<double>(gate->size()), open, gate->size()});
    histograms.push_back({gate->name, bin_counts(gate->theta, edges)});
  }
  write_file(folder + "/layers.svg", layer_figure(layers, subtitle));
  write_file(folder + "/gates.svg",
             histogram_figure(edges, histograms, subtitle, gaussian ? 0.5 : 0.0,
                              gaussian ? "Gate means of each layer" : "log alpha of each layer",
                                                     gaussian ? "gate mean \u03bc" : "log \u03b1"));
}

/// The summary of one finished search (docs/summary.md says what each entry means).
class Summary {
 public:
  Summary(const Config& config, Context& context, Network& network, Examiner& examiner)
      : config_(config),
        context_(context),
        network_(network),
        examiner_(examiner) {}

  Json gates() {
    const auto all = nn::gates(network_);
    Index total = 0;
    for (const auto* gate : all) total += gate->size();
    const auto [kept, fractional] = gates::counts(context_.threads(), all);
    const Index effective = nn::effective_kept(network_);
    return {{"total", total},
            {"kept", kept},
            {"sparsity", closed_share(kept, total)},
            {"effective_kept", effective},
            {"effective_sparsity", closed_share(effective, total)},
            {"fractional", total == 0 ? 0.0 : static_cast<double>(fractional) / static_cast<double>(total)}};
  }
  Json layers() {
    Json rows = Json::array();
    for (const auto* gate : nn::gates(network_)) {
      const auto counts = gates::counts(context_.threads(), *gate);
      const Index above = gates::counts(context_.threads(), *gate, Reading::above_zero).open;
      rows.push_back({{"name", gate->name},
                      {"weights", gate->size()},
                      {"kept", counts.open},
                      {"sparsity", closed_share(counts.open, gate->size())},
                      {"sparsity_above_zero", closed_share(above, gate->size())},
                      {"fractional", static_cast<double>(counts.fractional) / static_cast<double>(gate->size())},
                      {"sigma", mean_sigma(*gate)}});
    }
    return rows;
  }
  /// Adds `accuracy`, and bits per label where the task reports them. Reads the test set: once for each reading, and for each control. Leaves the network
  /// settled under the reading `binary`.
  void add_scores(Json& json, const Task& task, const std::function<Network(std::uint64_t)>& build) {
    Json accuracy, bits;
    const auto add = [&](const char* group, const char* name, const Score& score) {
      accuracy[group][name] = score.accuracy;
      bits[group][name] = score.bits;
    };
    for (const auto& [name, reading] : {std::pair{"relaxed", Reading::relaxed}, {"above_zero", Reading::above_zero}, {"binary", Reading::binary}}) {
      examiner_.settle(network_, reading);
      add("validation", name, examiner_.validation(network_, reading));
      add("test", name, examiner_.test(network_, reading));
    }
    if (!nn::gates(network_).empty()) {
      const Controls c = controls(examiner_, network_, build, config_.seed);
      add("control", "shuffled_mask", c.shuffled_mask);
      add("control", "reseeded_weights", c.reseeded_weights);
      add("control", "unmasked", c.unmasked);
    }
    json["accuracy"] = std::move(accuracy);
    if (task.bits().empty()) return;
    bits["baselines"] = task.baselines();
    json[task.bits()] = std::move(bits);
  }

 private:
  static double mean_sigma(const GateParameter<float>& gate) {
    if (gate.sigma_mode != SigmaMode::gate) return gate.sigma;
    const auto& sigmas = gate.learned_sigma.sigmas;
    return std::accumulate(sigmas.begin(), sigmas.end(), 0.0) / static_cast<double>(sigmas.size());
  }
  static double closed_share(Index kept, Index total) {
    return total == 0 ? 0.0 : 1 - static_cast<double>(kept) / static_cast<double>(total);
  }

  const Config& config_;
  Context& context_;
  Network& network_;
  Examiner& examiner_;
};

/// How a run talks to its user, on standard error: a bar on a terminal, plain lines elsewhere, nothing when quiet.
class Console {
 public:
  Console(const Config& config, std::string name, std::uint64_t steps, std::uint64_t first)
      : quiet_(config.quiet),
        terminal_(isatty(STDERR_FILENO) != 0 && !quiet_),
        epochs_(config.epochs),
        name_(std::move(name)),
        last_estimate_(first + 50),
        progress_(std::cerr, static_cast<long>(steps), terminal_, static_cast<long>(first)) {}

  void say(const std::string& line) {
    if (!quiet_) progress_.line(name_ + line);
  }
  void step(std::uint64_t step) {
    if (quiet_) return;
    progress_.update(static_cast<long>(step), name_ + status_);
    if (step == last_estimate_) say("the search will take about " + duration_text(progress_.remaining()));
  }
  void epoch(const EpochRecord& row) {
    char line[160];
    std::snprintf(line, sizeof line, "epoch %llu/%d  loss %.4f", static_cast<unsigned long long>(row.epoch), epochs_, row.loss);
    status_ = line;
    if (!std::isnan(row.validation_binary)) status_ += concat("  validation ", percent(row.validation_binary));
    status_ += concat("  pruned ", percent(row.pruned));
    if (!terminal_) say(status_);
  }
  void finish() { progress_.finish(); }

 private:
  static std::string percent(double share) {
    char text[32];
    std::snprintf(text, sizeof text, "%.2f%%", 100 * share);
    return text;
  }
  bool quiet_, terminal_;
  int epochs_;
  std::string name_, status_;
  std::uint64_t last_estimate_;
  Progress progress_;
};

/// The ticket of a network, or its weights where it is none, as a file.
void write_result(const Config& config, const Properties& properties, Context& context, Network& network, const std::string& path) {
  if (config.mode_value() == Mode::frozen_random) {
    ticket::save(ticket::make_ticket(network, properties), path);
  } else {
    nn::save_weights(effective_weights(context, network, parse_name<Rescale>("--rescale", rescale_names, config.rescale)), path);
  }
}

/// Puts the weights of `--weights` into a network, and says which they are; `result`: the file that the search will write.
Json take_weights(const Config& config, Network& network, const std::string& result) {
  std::error_code not_there;
  if (std::filesystem::equivalent(config.weights, result, not_there)) {
    throw std::runtime_error(concat("--out: expected a folder other than that of --weights, got ", result, ", which the search would replace"));
  }
  load_frozen_weights(network, config.weights);
  Json hashes = Json::array();
  nn::for_each_of<nn::FrozenTensor<float>>(network, [&](auto& weight) { hashes.push_back(weight.hash()); });
  return hashes;
}

/// What the summary says of a ticket's file, or of a file of weights.
void describe_result(const std::string& path, bool strong, Json& json) {
  const auto bytes = std::filesystem::file_size(path);
  if (!strong) {
    json["weights"] = {{"bytes", bytes}};
    return;
  }
  const ticket::Ticket found = ticket::load(path, ticket::most_gates);  // this run wrote it
  Index weights = 0;
  for (const auto& layer : found.layers) weights += layer.shape.size();
  json["ticket"] = {{"bytes", bytes},
                    {"bits_per_weight", 8 * static_cast<double>(bytes) / static_cast<double>(weights)},
                    {"entropy_bytes", ticket::entropy_bytes(found)}};
}

/// How long the search took, where the summary of it that stands in the folder says so.
Json measured_before(const std::string& folder, const std::string& rate) {
  Json found = Json::object();
  if (!std::filesystem::is_regular_file(folder + "/summary.json")) return found;
  const Bytes text = read_file(folder + "/summary.json");
  const Json summary = Json::parse(text.begin(), text.end(), nullptr, false);
  for (const std::string& name : {std::string("seconds"), rate}) {
    if (summary.is_object() && summary.contains(name)) found[name] = summary[name];
  }
  return found;
}

}  // namespace

Json run_one(const Config& config, const Task& task, const std::string& folder, const std::string& name) {
  Context context(config.threads);
  const Properties properties = task.properties(config);
  const auto build = [&](std::uint64_t seed) {
    nn::Init init = config.make_init();
    init.seed = seed;
    return make_network(properties, config.network, init, config.weight_source());
  };
  Network network = build(config.seed);
  const bool strong = config.mode_value() == Mode::frozen_random;
  const std::string checkpoint = folder + "/checkpoint.bin", result = folder + (strong ? "/ticket.tombola" : "/weights.bin");
  Json what{{"config", config.to_json()}, {"seed", config.seed}, {"data", task.description()}};
  if (config.mode_value() == Mode::frozen_trained) what["weights"] = take_weights(config, network, result);
  const std::string identity = what.dump();
  Examiner examiner(context, task, evaluation_batch(properties), config.moments);
  Search search(config, task, context, network, examiner, checkpoint);
  const bool resumes = config.resume && std::filesystem::exists(checkpoint);
  if (resumes) search.resume(identity);
  Console console(config, name, search.steps(), search.state().step);
  if (resumes) console.say(concat("going on after step ", search.state().step, " of ", search.steps()));
  if (config.resume && !resumes) console.say("no checkpoint in " + folder + ": starting anew");
  const std::string rate = task.unit() + "_per_second";
  const Json before = resumes && search.state().step == search.steps() ? measured_before(folder, rate) : Json::object();  // all is done already

  const auto write_results = [&] {
    remove_conclusions(folder);
    if (!strong) remove_result(folder + "/ticket.tombola");  // of an earlier search; weights.bin may be what --weights names
    write_file(folder + "/history.csv", history_csv(search.state().history));
    write_result(config, properties, context, network, result);
  };
  const bool finished = search.run(identity, {[&](std::uint64_t step) { console.step(step); },
                                              [&](const EpochRecord& row) { console.epoch(row); }, write_results});
  console.finish();
  if (!finished) {
    console.say(concat("interrupted after step ", search.state().step, "; --resume goes on from ", checkpoint));
    return {};
  }

  write_results();
  Summary summary(config, context, network, examiner);
  Json json{{"config", config.to_json()},
            {"data", task.description()},
            {"seed", config.seed},
            {"threads", config.threads},
            {"isa", isa_name},
            {"mode", config.mode},
            {"strong_ticket", strong},
            {"steps", search.steps()},
            {"gates", summary.gates()},
            {"layers", summary.layers()}};
  summary.add_scores(json, task, build);
  if (search.labels() > 0) {
    json["seconds"] = {{"search", search.seconds()}};
    json[rate] = static_cast<double>(search.labels()) / search.seconds();
  } else {
    json.update(before);
  }
  describe_result(result, strong, json);
  write_figures(folder, concat(config.network, " on ", task.title(), ", seed ", config.seed),
                search.state().history, network);
  write_file(folder + "/summary.json", json.dump(2) + "\n");
  return json;
}

}  // namespace examples
