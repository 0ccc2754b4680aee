#include "support/options.hpp"

#include <algorithm>
#include <string>
#include <utility>
#include <vector>

namespace examples {

namespace {

template <std::size_t count>
CLI::IsMember one_of(const std::array<std::string_view, count>& names) {
  return CLI::IsMember(std::vector<std::string>(names.begin(), names.end()));
}

/// A number in [low, high]; unlike CLI::Range it refuses NaN.
CLI::Validator within(double low, double high) {
  return CLI::Validator(
      [low, high](std::string& text) -> std::string {
        double value = 0;
        if (CLI::detail::lexical_cast(text, value) && value >= low && value <= high) return {};
        return tombola::concat("expected a number from ", low, " to ", high, ", got ", text);
      },
      tombola::concat("in [", low, ", ", high, "]"));
}

CLI::Option* add_activation(CLI::App& app, Config& c) {
  return app.add_option("--activation", c.activation, "between the layers")->check(one_of(tombola::nn::activation_names))->group("Network");
}

/// Declares what all searches in transformers have besides.
void add_transformer_options(CLI::App& app, Config& c) {
  app.add_option("--attention-scale", c.attention_scale, "of a transformer: factor of attention's logits, beside 1 / sqrt(size of a head)")
      ->check(within(1e-6, 1e6))
      ->group("Network");
  app.add_option("--branch-gain", c.branch_gain, "of a transformer: factor of the last weights of each block's branches")
      ->check(within(1e-6, 1e6))
      ->group("Network");
}

/// Declares what all searches on images have besides.
void add_image_data_options(CLI::App& app, Config& c) {
  app.add_option("--validation", c.validation, "training images, the last ones, kept for validation (0: none)")
      ->check(CLI::Range(Index{0}, Index{1} << 31))
      ->group("Data");
  app.add_option("--shift", c.shift, "move training images by up to this many pixels in each direction, anew in every epoch")
      ->check(CLI::Range(Index{0}, Index{8}))
      ->group("Data");
}

/// Declares a list of whole numbers from 1 to `most`, separated by commas.
CLI::Option* add_list(CLI::App& app, const std::string& name, std::vector<Index>& values, const std::string& description, Index most) {
  auto* list = app.add_option(name, values, description);
  list->delimiter(',')->allow_extra_args(false)->check(CLI::Range(Index{1}, most))->group("Network");
  // CLI11 refuses a single value given twice, but joins two lists.
  app.parse_complete_callback([&app] {
    const std::vector<CLI::Option*>& given = app.parse_order();
    for (const CLI::Option* option : given) {
      const auto times = std::count(given.begin(), given.end(), option);
      if (option->get_delimiter() == ',' && times > 1) {
        throw CLI::ArgumentMismatch(tombola::concat(option->get_name(), ": expected to be given once, got ", times, " times"));
      }
    }
  });
  return list;
}

}  // namespace

void add_options(CLI::App& app, Config& c) {
  app.get_formatter()->column_width(36);
  app.option_defaults()->always_capture_default();

  app.add_option("--validate-every", c.validate_every, "epochs between validations; the last one is always validated")
      ->check(CLI::Range(Index{1}, Index{1000000}))
      ->group("Data");
  app.add_option("--batch", c.batch, "images, or sequences, in a mini-batch")
      ->check(CLI::Range(Index{1}, Index{1} << 20))
      ->group("Data");

  app.add_option("--mode", c.mode,
                 "frozen-random: a strong ticket, gates over weights as the seed drew them; frozen-trained: gates over "
                 "--weights; "
                 "joint: weights are trained too; dense: weights alone, no gates")
      ->check(one_of(mode_names))
      ->group("Network");
  app.add_option("--init", c.init, "distribution of the frozen weights")->check(one_of(tombola::weight_init_names))->group("Network");
  app.add_option("--scale", c.scale, "its bound, constant or deviation (0: as the literature has it, from the fan-in)")
      ->check(within(0.0, 0x1p64))
      ->group("Network");
  app.add_option("--head-gain", c.head_gain, "factor of the last layer's weights: 0.1 does what a softmax of temperature 10 does")
      ->check(within(1e-6, 1e6))
      ->group("Network")
      ->default_str("1");
  app.add_option("--rescale", c.rescale, "layer outputs times sqrt(n / open gates), per layer or per neuron")
      ->check(one_of(rescale_names))
      ->group("Network");
  app.add_option("--weights", c.weights, "weights.bin of another run, for frozen-trained")->group("Network");

  app.add_option("--gates", c.gates, "how gates are drawn")->check(one_of(tombola::gate_kind_names))->group("Gates");
  app.add_option("--structure", c.structure, "what a gate removes: a weight; a unit (hidden neuron, channel or head); or units and inputs (lenet)")
      ->check(CLI::IsMember({"weights", "units", "units+inputs"}))
      ->group("Gates");
  app.add_flag("--cost-in-weights", c.cost_in_weights,
               "a structured gate counts in the penalty as the weights that it removes")
      ->group("Gates");
  app.add_option("--sigma", c.sigma, "width of the Gaussian noise")
      ->check(within(1e-3, 100.0))
      ->group("Gates")
      ->default_str(tombola::concat(c.usual_sigma));
  app.add_option("--sigma-end", c.sigma_end, "its width at the end, along half a cosine (0: it stays); 0 where it is learned")
      ->check(within(0.0, 100.0))
      ->group("Gates")
      ->default_str(tombola::concat(c.usual_sigma_end));
  app.add_option("--sigma-mode", c.sigma_mode, "fixed, or learned per layer or per gate within [.1, 1]")
      ->check(one_of(sigma_mode_names))
      ->group("Gates");
  app.add_flag("--sigma-penalty", c.sigma_penalty, "let the penalty's gradient reach a learned sigma")->group("Gates");
  app.add_option("--reach", c.reach, "how far outside of (0, 1) a gate's gradient still flows (0: as the clamp has it)")->check(within(0.0, 100.0))->group("Gates");
  app.add_option("--sharpness-end", c.sharpness_end, "how steep sampled gates are around 1/2 at the end, from 1 at the start (large: only 0 or 1)")
      ->check(within(1.0, 1e6))
      ->group("Gates");
  app.add_option("--start", c.start, "mean of the first mu (hard-concrete: log alpha, then default 0)")
      ->check(within(-100.0, 100.0))
      ->group("Gates")
      ->default_str("0.5");
  app.add_option("--low", c.low, "lower bound of mu (hard-concrete: of log alpha, then default -5)")
      ->check(within(-100.0, 100.0))
      ->group("Gates")
      ->default_str("-1");
  app.add_option("--high", c.high, "upper bound of mu (hard-concrete: default 5)")
      ->check(within(-100.0, 100.0))
      ->group("Gates")
      ->default_str("1.25");
  app.add_flag("!--no-bounds", c.bounds, "do not bound mu")->group("Gates");

  app.add_option("--penalty", c.penalty, "induce-sparse (sparse) or one of the readings of induce-decision")
      ->check(one_of(tombola::penalty_names))
      ->group("Sparsity");
  app.add_option("--lambda", c.lambda,
                 "weight of the mean penalty over all gates (the paper's sum: lambda / number of gates)")
      ->check(within(0.0, 1e6))
      ->group("Sparsity");
  app.add_option("--ramp", c.ramp, "share of the search over which lambda rises linearly from 0")
      ->check(within(0.0, 1.0))
      ->group("Sparsity");
  app.add_option("--target-sparsity", c.target_sparsity,
                 "share of gates to close; a controller then chooses lambda (0: off)")
      ->check(within(0.0, 0.9999))
      ->group("Sparsity");

  app.add_option("--epochs", c.epochs, "passes over the training data")
      ->check(CLI::Range(1, 1000000))
      ->group("Search");
  app.add_option("--seed", c.seed, "of the weights, the noise and the order")->group("Search");
  app.add_option("--replicates", c.replicates,
                 "searches with this many seeds from --seed on; mean and spread in summary.json")
      ->check(CLI::Range(1, 1000))
      ->group("Search");
  app.add_option("--rate", c.rate, "first learning rate of the gates (Adam); follows a cosine to 0")
      ->check(within(0.0, 10.0))
      ->group("Search");
  app.add_option("--warmup", c.warmup, "share of the search over which the rate rises")
      ->check(within(0.0, 0.9))
      ->group("Search");
  app.add_option("--clip", c.clip, "largest norm of the loss's gradient to all gates and weights; longer ones are scaled down (0: none is)")
      ->check(within(0.0, 1e6))
      ->group("Search");
  app.add_option("--smoothing", c.smoothing, "label smoothing")->check(within(0.0, 1.0))->group("Search");
  app.add_option("--weight-rate", c.weight_rate, "first learning rate of trained weights (SGD with momentum .9)")
      ->check(within(0.0, 10.0))
      ->group("Search");
  app.add_option("--weight-decay", c.weight_decay, "of trained weights")->check(within(0.0, 1.0))->group("Search");

  app.add_option("--threads", c.threads, "processors to use; no result depends on it")
      ->check(CLI::Range(1, 1024))
      ->group("Run");
  app.add_option("--out", c.out, "folder for ticket, summary, history, figures and checkpoint")->group("Run");
  app.add_flag("--resume", c.resume, "go on from the checkpoint in --out; ends in the same bytes as an undisturbed run")
      ->group("Run");
  app.add_option("--checkpoint-every", c.checkpoint_every, "epochs between checkpoints")
      ->check(CLI::Range(1, 1000000))
      ->group("Run");
  app.add_flag("--quiet", c.quiet, "print no progress")->group("Run");
}

void add_lenet_options(CLI::App& app, Config& c) {
  add_image_data_options(app, c);
  app.add_option("--data", c.data,
                 "folder with a data set in MNIST's format (raw or .gz); default: $TOMBOLA_DATA/mnist, else the user's "
                 "cache that "
                 "tools/fetch-data fills, else the subset in the repository")
      ->group("Data")
      ->default_str("");
  add_activation(app, c);
  add_list(app, "--hidden", c.hidden, "widths of the hidden layers, separated by commas", Index{1} << 20)->default_str("300,100");
}

void add_image_options(CLI::App& app, Config& c) {
  add_image_data_options(app, c);
  app.add_option("--data", c.data,
                 "folder with CIFAR-10's binary version (raw or .gz), or a data set in MNIST's format; default: $TOMBOLA_DATA/cifar10, else the "
                 "user's cache that tools/fetch-data cifar10 fills")
      ->group("Data")
      ->default_str("");
  app.add_flag("--reflect,!--no-reflect", c.reflect, "what --shift moves in is the image mirrored at its edge, not black")->group("Data");
  app.add_option("--flip", c.flip, "mirror training images: each with probability 1/2, or each in every other epoch")
      ->check(one_of(flip_names))
      ->group("Data");
  app.add_option("--cutout", c.cutout, "side of a square that is cut out of each training image (0: none)")
      ->check(CLI::Range(Index{0}, Index{1024}))
      ->group("Data");
  app.add_option("--moments", c.moments, "training images, the first ones, that normalisation is measured on under a mask; whole batches")
      ->check(CLI::Range(Index{1}, Index{1} << 31))
      ->group("Data");
  app.add_option("--model", c.network, "the network")->check(one_of(image_network_names))->group("Network");
  app.get_option("--head-gain")->default_str("0.1, of transformers 1");
  app.add_option("--stem", c.stem, "of a resnet: 7 x 7 with stride 2 and pooling (imagenet), 3 x 3 at full size (cifar), or that and pooling (pooled)")
      ->check(one_of(stem_names))
      ->group("Network");
  app.add_option("--width", c.width, "multiplies the channels, or the heads of a transformer")->check(within(1.0 / 64, 64.0))->group("Network");
  app.add_option("--patch", c.patch, "side of a transformer's patches (0: 4, swin 2)")->check(CLI::Range(Index{0}, Index{1024}))->group("Network");
  app.add_option("--depth", c.depth, "blocks of a vit (0: 12)")->check(CLI::Range(Index{0}, Index{1000}))->group("Network");
  add_list(app, "--conv-stem", c.conv_stem,
           "channels of 3 x 3 convolutions that make a transformer's tokens in place of patches, separated by commas; the first ones halve the "
           "image until tokens are as far apart as patches",
           Index{1} << 16)
      ->default_str("");
  add_transformer_options(app, c);
  add_list(app, "--depths", c.depths, "blocks of a swin's stages, separated by commas; columns and heads double from one to the next", 1000)
      ->default_str("2,6,2; of swin_tiny 2,2,6,2");
  app.add_option("--window", c.window, "side of a swin's windows, in patches")->check(CLI::Range(Index{1}, Index{1024}))->group("Network");
  app.add_option("--pooling", c.pooling, "what a vit's classifier reads: the mean of all tokens, or a class token")
      ->check(one_of(pooling_names))
      ->group("Network");
  app.add_option("--position", c.position, "what a vit's tokens get added: waves, or what the seed drew")->check(one_of(position_names))->group("Network");
  add_activation(app, c)->description("between the layers of conv2 to conv8 and shallow_cnn; other networks have ReLU, transformers GELU");
}

void check_image_options(const CLI::App& app, const Config& c) {
  for (const auto& [option, has] : {std::pair{"--stem", c.has_stem()},
                                    {"--activation", c.has_activation()},
                                    {"--patch", c.is_transformer()},
                                    {"--conv-stem", c.is_transformer()},
                                    {"--attention-scale", c.is_transformer()},
                                    {"--branch-gain", c.is_transformer()},
                                    {"--depth", c.is_vit()},
                                    {"--pooling", c.is_vit()},
                                    {"--position", c.is_vit()},
                                    {"--depths", c.is_swin()},
                                    {"--window", c.is_swin()}}) {
    if (app.count(option) > 0 && !has) throw std::runtime_error(tombola::concat(option, ": expected a network that has such a thing, got ", c.network));
  }
}

void add_text_options(CLI::App& app, Config& c) {
  app.add_option("--data", c.data, "a text file; default: $TOMBOLA_DATA/text/tinyshakespeare.txt, else the user's cache that tools/fetch-data text fills")
      ->group("Data")
      ->default_str("");
  app.add_option("--length", c.length, "context: characters (bytes) in a sequence")->check(CLI::Range(Index{1}, Index{1} << 16))->group("Data");
  app.add_option("--columns", c.columns, "width of the embedding, and of all blocks")->check(CLI::Range(Index{2}, Index{1} << 16))->group("Network");
  app.add_option("--depth", c.depth, "blocks")->check(CLI::Range(Index{1}, Index{1000}))->group("Network");
  app.add_option("--heads", c.heads, "of attention, in each block")->check(CLI::Range(Index{1}, Index{1} << 16))->group("Network");
  add_transformer_options(app, c);
}

}  // namespace examples
