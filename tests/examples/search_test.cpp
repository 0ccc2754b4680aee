#include "support/search.hpp"

#include <doctest/doctest.h>

#include "support/counted_memory.hpp"
#include "support/temporary_folder.hpp"
#include "support/tensors.hpp"

using namespace examples;
using namespace test_support;

namespace {

const Properties properties{{"network", "fast_resnet"}, {"image", "8,8,3"}, {"classes", "4"}, {"width", "0.125"}, {"rescale", "layer"},
                            {"input.mean", "0.5,0.4,0.3"}, {"input.std", "0.25,0.2,0.3"}};

/// The same few images again and again.
class SameBatches final : public BatchSource {
 public:
  SameBatches(Index count, Index size)
      : count_(count), images_(random_tensor<float>({size, 8, 8, 3}, 1)), labels_({size}) {
    for (Index i = 0; i < size; ++i) labels_.data()[i] = static_cast<std::int32_t>(i % 4);
  }
  Index count() const override { return count_; }
  data::Batch<float> get(Index, Index number) override { return {.number = number, .x = images_, .labels = labels_}; }

 private:
  Index count_;
  Tensor<float> images_;
  Tensor<std::int32_t> labels_;
};

class SameTask final : public Task {
 public:
  std::string unit() const override { return "images"; }
  std::string title() const override { return "the same images"; }
  const Json& description() const override { return description_; }
  Properties properties(const Config&) const override { return ::properties; }
  std::unique_ptr<BatchSource> training(const Config& config, const Context&) const override { return std::make_unique<SameBatches>(3, config.batch); }
  std::unique_ptr<BatchSource> in_order(Part, Index batch, const Context&) const override { return std::make_unique<SameBatches>(2, batch); }

 private:
  Json description_;
};

Config small_config() {
  Config config;
  config.network = "fast_resnet";
  config.epochs = 3;
  config.batch = 40;
  config.checkpoint_every = 1;
  return config;
}

}  // namespace

TEST_CASE("search: what examining takes does not lie beside what steps keep") {
  const SameTask task;
  const Config config = small_config();
  constexpr Index examined = 80;  // images in a batch: blocks of other sizes than a step's
  const auto network = [] { return make_network(properties, "here", {.seed = 5, .rescale = Rescale::layer}, Weights::gated); };

  const std::size_t of_examining = [&] {
    Context context(1);
    Network alone = network();
    Examiner examiner(context, task, examined, examined);
    const std::size_t before = most_bytes = live_bytes.load();
    examiner.settle(alone, Reading::binary);
    examiner.validation(alone, Reading::binary);
    return most_bytes - before;
  }();

  const TemporaryFolder folder;
  Context context(1);
  Network searched = network();
  Examiner examiner(context, task, examined, examined);
  Search search(config, task, context, searched, examiner, folder / "checkpoint.bin");
  const std::size_t before = most_bytes = live_bytes.load();
  std::size_t of_steps = 0;
  const auto after_step = [&](std::uint64_t step) {
    if (step == 3) of_steps = most_bytes - before;  // before anything is examined
  };
  CHECK(search.run("this search", {after_step, [](const EpochRecord&) {}, [] {}}));
  CHECK(of_examining > of_steps / 2);  // else the next line would say little
  CHECK(of_examining < of_steps);
  CHECK(most_bytes - before <= of_steps);  // in three epochs
}
