/// \file
/// Text whose next character is to be told.
#pragma once

#include <filesystem>
#include <memory>
#include <span>
#include <string>
#include <system_error>
#include <utility>

#include "support/environment.hpp"
#include "support/ngram.hpp"
#include "support/task.hpp"
#include "tombola/core/crc64.hpp"
#include "tombola/data/text.hpp"

namespace examples {

/// The text file that is given, else tiny-shakespeare in $TOMBOLA_DATA or the user's cache. Throws `std::runtime_error` if there is none.
inline std::string find_text(const std::string& given) {
  if (!given.empty()) return given;
  const std::string root = environment("TOMBOLA_DATA"), cache = cached("text");
  for (const std::string& folder : {root.empty() ? root : root + "/text", cache}) {
    const std::string path = folder + "/tinyshakespeare.txt";
    std::error_code ignored;
    if (!folder.empty() && std::filesystem::exists(path, ignored)) return path;
  }
  throw std::runtime_error(concat("--data: expected a text file, or $TOMBOLA_DATA/text/tinyshakespeare.txt, or one in the user's cache ", cached_in_words("text"),
                                  " (tools/fetch-data text), got none"));
}

/// A text in three parts, to be read in sequences: the last tenth is for testing, the tenth before it for validation.
class TextParts {
 public:
  /// Throws `std::runtime_error` if the text has bytes that the alphabet does not have, or is too short for sequences of this length.
  TextParts(const std::string& path, const std::string& text, const std::string& alphabet, Index length)
      : vocabulary_(static_cast<Index>(alphabet.size())),
        length_(length) {
    const Index least = 20 * (length + 1);
    if (static_cast<Index>(text.size()) < least) {
      throw std::runtime_error(
          concat(path, ": expected a text of at least ", least, " bytes for sequences of ", length, ", got ", text.size()));
    }
    tokens_ = data::tokens_of(text, alphabet, path);
    const Index tenth = tokens_.size() / 10;
    ends_[0] = tokens_.size() - 2 * tenth;
    ends_[1] = tokens_.size() - tenth;
    ends_[2] = tokens_.size();
  }

  View<const std::int32_t> operator[](Part part) const {
    const auto index = static_cast<std::size_t>(part);
    return tokens_.view().slice(index == 0 ? 0 : ends_[index - 1], ends_[index]);
  }
  std::unique_ptr<BatchSource> in_order(Part part, Index batch) const {
    return batches(part, {.size = batch, .length = length_, .shuffle = false});
  }
  std::unique_ptr<BatchSource> shuffled(Part part, Index batch, std::uint64_t seed) const {
    return batches(part, {.size = batch, .length = length_, .seed = seed});
  }

 private:
  std::unique_ptr<BatchSource> batches(Part part, const data::TextBatchOptions& options) const {
    return batch_source<data::TextBatches<float>>((*this)[part], vocabulary_, options);
  }

  Index vocabulary_, length_;
  Tensor<std::int32_t> tokens_;
  Index ends_[3] = {};
};

class TextTask final : public Task {
 public:
  /// Finds and reads the text file that the options name. Throws `std::runtime_error` if it cannot be read, or is too short.
  explicit TextTask(const Config& config) : TextTask(config, find_text(config.data)) {}

  std::string unit() const override { return "characters"; }
  std::string title() const override { return title_; }
  const Json& description() const override { return description_; }
  Properties properties(const Config& config) const override {
    Properties made = config.properties();
    made.emplace("alphabet", alphabet_property(alphabet_));
    return made;
  }
  std::unique_ptr<BatchSource> training(const Config& config, const Context&) const override {
    return parts_.shuffled(Part::train, config.batch, config.seed);
  }
  std::unique_ptr<BatchSource> in_order(Part part, Index batch, const Context&) const override { return parts_.in_order(part, batch); }
  std::string bits() const override { return "bits_per_character"; }
  Json baselines() const override {
    const auto tokens = [this](Part part) { return std::span(parts_[part].data(), static_cast<std::size_t>(parts_[part].size())); };
    Json bits;
    for (const auto& [name, order] : {std::pair{"unigram", 1}, {"bigram", 2}, {"trigram", 3}}) {
      const Ngram model(order, static_cast<std::int32_t>(alphabet_.size()), tokens(Part::train));
      bits[name] = model.bits_per_token(tokens(Part::test));
    }
    return bits;
  }

 private:
  TextTask(const Config& config, const std::string& path) : TextTask(config, path, data::read_text(path)) {}
  TextTask(const Config& config, const std::string& path, const std::string& text)
      : title_(concat(text.size(), " characters")),
        alphabet_(data::alphabet_of(text)),
        parts_(path, text, alphabet_, config.length) {
    Crc64 crc;
    crc.update({reinterpret_cast<const std::uint8_t*>(text.data()), text.size()});
    description_ = {{"train", parts_[Part::train].size()},
                    {"validation", parts_[Part::validation].size()},
                    {"test", parts_[Part::test].size()},
                    {"alphabet", alphabet_.size()},
                    {"crc64", concat(std::hex, crc.value())}};
  }

  std::string title_, alphabet_;
  TextParts parts_;
  Json description_;
};

}  // namespace examples
