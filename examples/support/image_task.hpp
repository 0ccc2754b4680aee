/// \file
/// Images to be classified.
#pragma once

#include <cstdio>
#include <memory>
#include <string>
#include <utility>

#include "support/data_source.hpp"
#include "support/task.hpp"
#include "tombola/core/crc64.hpp"

namespace examples {

inline data::BatchOptions evaluation_options(Index batch, const data::Statistics& statistics, const Context& context) {
  return {.size = batch, .shuffle = false, .statistics = statistics, .threads = &context.threads()};
}

class ImageTask final : public Task {
 public:
  /// Finds and reads the data that the options name, keeps the last images for validation. Throws `std::runtime_error` for bad files.
  explicit ImageTask(const Config& config) {
    const DataSource source = find_data(config.data, config.data_set);
    data::TrainAndTest sets = load_images(source.folder, config.data_set);
    if (config.validation >= sets.train.count()) {
      throw std::runtime_error(concat(source.folder, ": expected more than ", config.validation, " training images (--validation), got ",
                                      sets.train.count()));
    }
    data::TrainAndValidation parts = data::split(sets.train, config.validation);
    train_ = std::move(parts.train);
    validation_ = std::move(parts.validation);
    test_ = std::move(sets.test);
    statistics_ = data::mean_and_deviation(train_);
    describe(source.is_subset);
    if (!source.is_subset || config.quiet) return;
    std::fprintf(stderr, "no full MNIST found (--data, $TOMBOLA_DATA, tools/fetch-data): using the subset of %td + %td images in %s\n",
                 train_.count() + validation_.count(), test_.count(), source.folder.c_str());
  }

  std::string unit() const override { return "images"; }
  std::string title() const override { return concat(train_.count() + validation_.count(), " images"); }
  const Json& description() const override { return description_; }
  Index features() const { return train_.features(); }  ///< of one image
  Index classes() const { return train_.classes; }
  Properties properties(const Config& config) const override {
    Properties made = config.properties();
    made.insert({{"image", image_property(train_)},
                 {"classes", std::to_string(train_.classes)},
                 {"input.mean", exact(statistics_.mean)},
                 {"input.std", exact(statistics_.deviation)}});
    return made;
  }
  std::unique_ptr<BatchSource> training(const Config& config, const Context& context) const override {
    const data::BatchOptions options{.size = config.batch,
                                     .seed = config.seed,
                                     .shift = config.shift,
                                     .reflect = config.reflect,
                                     .flip = parse_name<data::Flip>("--flip", flip_names, config.flip),
                                     .cutout = config.cutout,
                                     .statistics = statistics_,
                                     .threads = &context.threads()};
    // One batch ahead where steps are long: waking a thread costs a LeNet more than it saves.
    if (config.network != "lenet") return batch_source<data::Prefetch<float>>(train_, options);
    return batch_source<data::Batches<float>>(train_, options);
  }
  std::unique_ptr<BatchSource> in_order(Part part, Index batch, const Context& context) const override {
    const data::Images& images = part == Part::train ? train_ : part == Part::validation ? validation_ : test_;
    if (images.count() == 0) return nullptr;
    return batch_source<data::Batches<float>>(images, evaluation_options(batch, statistics_, context));
  }

 private:
  void describe(bool is_subset) {
    Crc64 crc;
    for (const data::Images* images : {&train_, &validation_, &test_}) {
      crc.update({images->pixels.data(), static_cast<std::size_t>(images->pixels.size())});
      crc.update({images->labels.data(), static_cast<std::size_t>(images->labels.size())});
    }
    description_ = {{"train", train_.count()},   {"validation", validation_.count()}, {"test", test_.count()},
                    {"classes", train_.classes}, {"subset", is_subset},               {"crc64", concat(std::hex, crc.value())},
                    {"mean", statistics_.mean},  {"deviation", statistics_.deviation}};
  }

  data::Images train_, validation_, test_;
  data::Statistics statistics_;
  Json description_;
};

}  // namespace examples
