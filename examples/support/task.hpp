/// \file
/// What a network is searched for: data in batches, and what there is to say of them.
#pragma once

#include <nlohmann/json.hpp>

#include <memory>
#include <string>
#include <utility>

#include "support/config.hpp"

namespace examples {

using Json = nlohmann::ordered_json;

/// Batches of images or of text, in a reproducible order.
class BatchSource {
 public:
  virtual ~BatchSource() = default;
  virtual Index count() const = 0;                                ///< batches in an epoch
  virtual data::Batch<float> get(Index epoch, Index number) = 0;  ///< valid until the next call
};

/// One of the library's classes of batches as a BatchSource, built where it stands from these arguments.
template <class Batches, class... Arguments>
std::unique_ptr<BatchSource> batch_source(Arguments&&... arguments) {
  struct Holder final : BatchSource {
    Batches batches;
    explicit Holder(Arguments&&... its) : batches(std::forward<Arguments>(its)...) {}
    Index count() const override { return batches.count(); }
    data::Batch<float> get(Index epoch, Index number) override { return batches.get(epoch, number); }
  };
  return std::make_unique<Holder>(std::forward<Arguments>(arguments)...);
}

enum class Part : std::uint8_t { train, validation, test };

/// Data sets are read before a search, and outlive it.
class Task {
 public:
  virtual ~Task() = default;
  virtual std::string unit() const = 0;         ///< of what has labels: "images"
  virtual std::string title() const = 0;        ///< "60000 images"
  virtual const Json& description() const = 0;  ///< all of the data that a result depends on
  /// All of the network that the weights do not say.
  virtual Properties properties(const Config& config) const = 0;
  /// What a search learns from, shuffled and changed as the configuration says.
  virtual std::unique_ptr<BatchSource> training(const Config& config, const Context& context) const = 0;
  /// A part as it is, in order; null if it is empty.
  virtual std::unique_ptr<BatchSource> in_order(Part part, Index batch, const Context& context) const = 0;
  /// What summaries call the bits per label; empty where they are not reported.
  virtual std::string bits() const { return {}; }
  /// These bits of simpler models, on the test set.
  virtual Json baselines() const { return {}; }
};

}  // namespace examples
