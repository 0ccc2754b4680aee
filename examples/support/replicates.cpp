#include "support/replicates.hpp"

#include <algorithm>
#include <cmath>
#include <vector>

#include "support/run.hpp"
#include "support/run_folder.hpp"

namespace examples {

namespace {

/// "mean" and sample "deviation" of the numbers at `path` in the summaries.
Json mean_and_deviation_of(const std::vector<Json>& summaries, const std::string& path) {
  const Json::json_pointer where(path);
  double mean = 0, squares = 0;
  for (const Json& summary : summaries) mean += summary.at(where).get<double>();
  mean /= static_cast<double>(summaries.size());
  for (const Json& summary : summaries) squares += std::pow(summary.at(where).get<double>() - mean, 2);
  const auto others = static_cast<double>(summaries.size()) - 1;
  return {{"mean", mean}, {"deviation", others > 0 ? std::sqrt(squares / others) : 0.0}};
}

/// What a table of results shows, over the seeds.
Json summarise(const std::vector<Json>& summaries) {
  Json seeds = Json::array();
  for (const Json& summary : summaries) seeds.push_back(summary.at("seed"));
  Json json{{"config", summaries[0].at("config")}, {"data", summaries[0].at("data")}, {"seeds", seeds}};
  std::vector<std::string> paths{"/gates/sparsity", "/gates/effective_sparsity", "/gates/kept", "/gates/fractional"};
  for (const char* measure : {"/accuracy/", "/bits_per_character/"}) {
    for (const char* split : {"validation/", "test/"}) {
      for (const char* reading : {"relaxed", "above_zero", "binary"}) paths.push_back(concat(measure, split, reading));
    }
    for (const char* control : {"shuffled_mask", "reseeded_weights", "unmasked"}) paths.push_back(concat(measure, "control/", control));
  }
  for (const char* counting : {"unigram", "bigram", "trigram"}) paths.push_back(concat("/bits_per_character/baselines/", counting));
  for (const char* figure : {"bytes", "bits_per_weight"}) paths.push_back(concat("/ticket/", figure));
  paths.push_back("/seconds/search");
  for (const std::string& path : paths) {
    const Json::json_pointer where(path);
    const auto has = [&](const Json& summary) { return summary.contains(where); };
    if (std::ranges::all_of(summaries, has)) json[where] = mean_and_deviation_of(summaries, path);
  }
  return json;
}

}  // namespace

std::optional<Json> run_replicates(const Config& config, const Task& task, const std::string& label) {
  if (config.replicates == 1) {
    Json json = run_one(config, task, config.out, label);
    return json.empty() ? std::nullopt : std::optional(std::move(json));
  }
  remove_conclusions(config.out);
  std::vector<Json> summaries;
  for (int i = 0; i < config.replicates; ++i) {
    Config one = config;
    one.seed = config.seed + static_cast<std::uint64_t>(i);
    const std::string name = concat("seed-", one.seed), path = config.out + "/" + name;
    const RunFolder folder(path);
    summaries.push_back(run_one(one, task, path, concat(label, name, "  ")));
    if (summaries.back().empty()) return std::nullopt;
  }
  Json json = summarise(summaries);
  write_file(config.out + "/summary.json", json.dump(2) + "\n");
  return json;
}

}  // namespace examples
