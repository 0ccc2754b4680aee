/// \file
/// The search for a ticket: the loop over epochs and batches, its checkpoints and its history.
#pragma once

#include <chrono>
#include <cmath>
#include <functional>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <vector>

#include "support/checkpoint.hpp"
#include "support/config.hpp"
#include "support/evaluate.hpp"
#include "support/interruption.hpp"

namespace examples {

/// What a search tells while it runs.
struct SearchReport {
  std::function<void(std::uint64_t step)> step;
  std::function<void(const EpochRecord&)> epoch;
  std::function<void()> checkpoint;  ///< called after each, the network settled; writes what goes with it, such as the ticket so far
};

/// One search over a network. Network, task and examiner outlive it.
class Search {
 public:
  Search(const Config& config, const Task& task, Context& context, Network& network, Examiner& examiner, std::string checkpoint_path)
      : config_(config),
        context_(context),
        network_(network),
        examiner_(examiner),
        path_(std::move(checkpoint_path)),
        gates_(nn::gates(network)),
        parameters_(nn::parameters(network)),
        adam_(context, gates_, {.rate = config.rate}),
        sgd_(context, parameters_, {.rate = config.weight_rate, .weight_decay = config.weight_decay}),
        train_(task.training(config, context)),
        penalty_(parse_name<Penalty>("--penalty", penalty_names, config.penalty)) {
    for (const auto* gate : gates_) gate_count_ += gate->size();
    if (config.target_sparsity > 0 && gate_count_ > 0) controller_.emplace(config.target_sparsity);
  }

  std::uint64_t steps() const noexcept {
    return static_cast<std::uint64_t>(config_.epochs) * static_cast<std::uint64_t>(train_->count());
  }
  const SearchState& state() const noexcept { return state_; }
  /// Of the last stretch after a resume, as the labels of its steps.
  double seconds() const noexcept { return seconds_; }
  std::uint64_t labels() const noexcept { return labels_; }

  /// Goes on from the checkpoint. Throws `std::runtime_error` if it is not one of this configuration.
  void resume(const std::string& identity) {
    state_ = load_checkpoint(path_, identity, network_);
    adam_.set_steps(state_.optimiser_steps);
    if (controller_) controller_->restore(state_.controller);
  }

  /// Runs to the end; false if it was interrupted, after saving a checkpoint. Throws `std::runtime_error` if the loss is no longer
  /// finite, naming step and layer; what was saved before stays.
  bool run(const std::string& identity, const SearchReport& report) {
    const auto batches = static_cast<std::uint64_t>(train_->count());
    const auto began = std::chrono::steady_clock::now();
    while (state_.step < steps()) {
      const auto epoch = static_cast<Index>(state_.step / batches);
      const auto number = static_cast<Index>(state_.step % batches);
      step(train_->get(epoch, number));
      ++state_.step;
      report.step(state_.step);
      if (state_.step % batches == 0) {
        context_.pool().trim();  // examining takes blocks of other sizes: neither side's may lie beside the other's
        end_epoch(report);
        const bool last = state_.step == steps();
        if (last || static_cast<int>(state_.step / batches) % config_.checkpoint_every == 0) save(identity, report);
        context_.pool().trim();
      }
      if (interrupted && state_.step < steps()) {  // the checkpoint first: who asked for an end may not wait long
        save_checkpoint(path_, identity, state_, network_);
        context_.pool().trim();
        settle();
        report.checkpoint();
        return false;
      }
    }
    set_draw();
    seconds_ = std::chrono::duration<double>(std::chrono::steady_clock::now() - began).count();
    return true;
  }

 private:
  double progress() const noexcept { return static_cast<double>(state_.step) / static_cast<double>(steps()); }

  /// Forward, backward, update: one mini-batch.
  void step(const data::Batch<float>& batch) {
    const PassOptions options{
        .seed = config_.seed, .step = static_cast<std::uint32_t>(state_.step)};
    set_draw();
    Tape<float> tape(context_, options);
    const Var<float> logits = network_(tape.input(batch.x));
    const Var<float> loss = cross_entropy(logits, batch.labels, static_cast<float>(config_.smoothing));
    if (!std::isfinite(loss.item())) explain(batch, options, loss.item());
    tape.backward(loss);
    if (config_.clip > 0) clip();

    state_.lambda = next_lambda();
    for (auto* gate : gates_) {  // the penalty's gradient is part of the optimiser's pass; its value is not needed
      gate->penalty = penalty_;
      gate->penalty_weight = static_cast<float>(state_.lambda / static_cast<double>(gate_count_));
    }
    adam_.set_rate(optim::cosine_rate(config_.rate, progress(), config_.warmup));
    sgd_.set_rate(optim::cosine_rate(config_.weight_rate, progress(), config_.warmup));
    adam_.step();
    sgd_.step();
    state_.optimiser_steps = adam_.steps();
    state_.loss_sum += static_cast<double>(loss.item()) * static_cast<double>(batch.size());
    state_.correct += static_cast<std::uint64_t>(count_correct(logits.value(), batch.labels));
    state_.seen += static_cast<std::uint64_t>(batch.size());
    labels_ += static_cast<std::uint64_t>(batch.size());
  }

  void clip() {
    try {
      optim::clip_gradients(context_, gates_, parameters_, config_.clip);
    } catch (const std::runtime_error& error) {
      throw std::runtime_error(concat("step ", state_.step, ": ", error.what()));
    }
  }

  /// What changes over the search, as a function of the step: the width of the noise, and the sharpness, whose inverse falls to its end.
  void set_draw() {
    const double sigma_end = config_.sigma_end_or_default();
    const double sigma = optim::cosine_between(config_.sigma_or_default(), sigma_end, progress());
    const double width = optim::cosine_between(1, 1 / config_.sharpness_end, progress());
    for (auto* gate : gates_) {
      if (sigma_end > 0) gate->sigma = static_cast<float>(sigma);
      gate->sharpness = static_cast<float>(1 / width);
    }
  }

  double next_lambda() {
    constexpr std::uint64_t interval = 10;  // steps between two looks of the controller
    if (!controller_) return gates::ramped_lambda(config_.lambda, config_.ramp, progress());
    if (state_.step % interval != 0) return state_.lambda;
    const double lambda = controller_->update(gates::sparsity(context_.threads(), gates_), progress(),
                                              static_cast<double>(interval) / static_cast<double>(steps()));
    state_.controller = controller_->state();
    return lambda;
  }

  void end_epoch(const SearchReport& report) {
    const auto counts = gates::counts(context_.threads(), gates_);
    const auto total = static_cast<double>(std::max<Index>(1, gate_count_));
    const double pruned = gate_count_ == 0 ? 0.0 : 1 - static_cast<double>(counts.open) / total;
    const double fractional = static_cast<double>(counts.fractional) / total;
    const auto seen = static_cast<double>(state_.seen);
    const std::uint64_t epoch = state_.step / static_cast<std::uint64_t>(train_->count());
    const bool validated = examiner_.validates() && (epoch % static_cast<std::uint64_t>(config_.validate_every) == 0 || state_.step == steps());
    double relaxed = std::nan(""), binary = relaxed;
    if (validated) {
      examiner_.settle(network_, Reading::relaxed);
      relaxed = examiner_.validation(network_, Reading::relaxed).accuracy;
      settle();
      binary = examiner_.validation(network_, Reading::binary).accuracy;
    }
    state_.history.push_back({epoch, state_.step, optim::cosine_rate(config_.rate, progress(), config_.warmup),
                              state_.lambda, state_.loss_sum / seen, static_cast<double>(state_.correct) / seen,
                              relaxed, binary, pruned, fractional});
    state_.loss_sum = 0;
    state_.correct = state_.seen = 0;
    report.epoch(state_.history.back());
  }

  void save(const std::string& identity, const SearchReport& report) {
    settle();  // so that the moments in it do not depend on where the run was interrupted before
    save_checkpoint(path_, identity, state_, network_);
    report.checkpoint();
  }

  /// Takes the moments under the reading `binary`, if a step has changed them since.
  void settle() {
    if (settled_at_ == state_.step) return;
    examiner_.settle(network_, Reading::binary);
    settled_at_ = state_.step;
  }

  /// Repeats the step's forward pass with checks, to name the layer; always throws.
  [[noreturn]] void explain(const data::Batch<float>& batch, PassOptions options, float loss) {
    options.checks_finite = true;
    const std::string where = concat("step ", state_.step, ": ");
    try {
      Tape<float> tape(context_, options);
      network_(tape.input(batch.x));
    } catch (const std::runtime_error& error) {
      throw std::runtime_error(where + error.what());
    }
    throw std::runtime_error(concat(where, "loss: expected a finite value, got ", loss, "; all layers' outputs are finite"));
  }

  const Config& config_;
  Context& context_;
  Network& network_;
  Examiner& examiner_;
  std::string path_;
  std::vector<GateParameter<float>*> gates_;
  std::vector<Parameter<float>*> parameters_;
  optim::Adam<float> adam_;
  optim::Sgd<float> sgd_;
  std::unique_ptr<BatchSource> train_;
  Penalty penalty_;
  std::optional<gates::SparsityController> controller_;
  Index gate_count_ = 0;
  SearchState state_;
  std::uint64_t settled_at_ = 0;
  double seconds_ = 0;
  std::uint64_t labels_ = 0;
};

}  // namespace examples
