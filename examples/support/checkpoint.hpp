/// \file
/// Checkpoints of a search: all that a run needs to go on and end in the same bytes.
#pragma once

#include <algorithm>
#include <string>
#include <vector>

#include "tombola/gates/lambda.hpp"
#include "tombola/nn/state.hpp"

namespace examples {

/// One line of history.csv.
struct EpochRecord {
  std::uint64_t epoch, steps;
  double rate, lambda, loss, train_accuracy, validation_relaxed, validation_binary, pruned, fractional;
};

/// What a search is in the middle of, besides its model.
struct SearchState {
  std::uint64_t step = 0, optimiser_steps = 0, correct = 0, seen = 0;
  double loss_sum = 0, lambda = 0;
  tombola::gates::SparsityController::State controller;
  std::vector<EpochRecord> history;
};

/// The entry in which two texts of JSON first differ, as it stands in `one`; or what is there in place of one more that `other` has.
inline std::string differing_entry(const std::string& one, const std::string& other) {
  auto at = static_cast<std::size_t>(std::mismatch(one.begin(), one.end(), other.begin(), other.end()).first - one.begin());
  if (at < one.size() && at < other.size()) {
    if (one[at] == '}' && other[at] == ',') return "no further entry";
    at += one[at] == ',' && other[at] == '}';  // the entry behind the comma
  }
  const std::size_t comma = at == 0 ? std::string::npos : one.rfind(",\"", at - 1);
  const std::size_t begin = comma == std::string::npos ? 0 : comma + 1;
  return one.substr(begin, one.find(",\"", at) - begin);
}

inline constexpr std::string_view checkpoint_magic = "TOMBCKP\2";

/// Writes a checkpoint, atomically: "TOMBCKP" 2, the configuration as text, its length in 32 bits before it, the state, the model's state, the
/// CRC-64/XZ of all that.
template <class Model>
void save_checkpoint(const std::string& path, const std::string& config, const SearchState& state, Model& model) {
  tombola::AtomicFile file(path);
  tombola::Writer writer(file);  // part by part: a large network's state would double what its search needs
  writer.text(checkpoint_magic);
  writer.little(static_cast<std::uint32_t>(config.size()));
  writer.text(config);
  for (const std::uint64_t value : {state.step, state.optimiser_steps, state.correct, state.seen}) writer.little(value);
  for (const double value : {state.loss_sum, state.lambda, state.controller.integral, state.controller.start_logit})
    writer.little(value);
  writer.little(static_cast<std::uint8_t>(state.controller.started));
  writer.little(static_cast<std::uint64_t>(state.history.size()));
  for (const EpochRecord& row : state.history) {
    writer.little(row.epoch);
    writer.little(row.steps);
    for (const double value : {row.rate, row.lambda, row.loss, row.train_accuracy, row.validation_relaxed,
                               row.validation_binary, row.pruned, row.fractional}) {
      writer.little(value);
    }
  }
  tombola::nn::write_state(writer, model);
  writer.finish();
}

/// Reads a checkpoint into a model built by the same configuration. Throws `std::runtime_error` for any other file.
template <class Model>
SearchState load_checkpoint(const std::string& path, const std::string& config, Model& model) {
  const tombola::Bytes bytes = tombola::read_file(path, ~std::uint64_t{0});  // as large as the network that is searched
  tombola::Reader reader = tombola::unsealed(bytes, path, checkpoint_magic, "a checkpoint");
  const auto text = reader.bytes(reader.little<std::uint32_t>());
  const std::string written(text.begin(), text.end());
  reader.check(written == config, "a checkpoint of the configuration " + differing_entry(config, written),
               differing_entry(written, config));

  SearchState state;
  for (std::uint64_t* value : {&state.step, &state.optimiser_steps, &state.correct, &state.seen})
    *value = reader.little<std::uint64_t>();
  for (double* value : {&state.loss_sum, &state.lambda, &state.controller.integral, &state.controller.start_logit}) {
    *value = reader.little<double>();
  }
  state.controller.started = reader.little<std::uint8_t>() != 0;
  const auto rows = reader.little<std::uint64_t>();
  reader.check(rows <= reader.remaining() / 80, tombola::concat(rows, " lines of history"),
               tombola::concat(reader.remaining(), " bytes"));
  for (std::uint64_t i = 0; i < rows; ++i) {
    EpochRecord row{};
    row.epoch = reader.little<std::uint64_t>();
    row.steps = reader.little<std::uint64_t>();
    for (double* value : {&row.rate, &row.lambda, &row.loss, &row.train_accuracy, &row.validation_relaxed,
                          &row.validation_binary, &row.pruned, &row.fractional}) {
      *value = reader.little<double>();
    }
    state.history.push_back(row);
  }
  tombola::nn::read_state(reader, model);
  reader.expect_end();
  return state;
}

}  // namespace examples
