#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "support/arrays.hpp"
#include "support/gates.hpp"
#include "support/named_weights.hpp"
#include "support/tensors.hpp"
#include "support/worst.hpp"
#include "tombola/models/gpt.hpp"
#include "tombola/models/swin.hpp"
#include "tombola/models/vit.hpp"

using namespace tombola;
using namespace test_support;
using test::at;

// The networks as they were published, by loops over tokens in double: nothing here calls an op, a kernel or a layer. They have what the headers state
// where that differs: no biases, normalisation without weights and with an epsilon of 1e-5, the exact GELU, waves with all sines before the cosines.
namespace {

/// Row-major values [rows, columns]: the tokens of one sequence after the other, or the pixels of one square image after the other.
struct Rows {
  Index columns;
  std::vector<double> values;

  Index rows() const { return static_cast<Index>(values.size()) / columns; }
  double operator()(Index r, Index c) const { return values[at(r * columns + c)]; }
};

/// The rows whose values are value(r, c).
template <class Value>
Rows generated(Index rows, Index columns, const Value& value) {
  Rows y{columns, {}};
  for (Index r = 0; r < rows; ++r) {
    for (Index c = 0; c < columns; ++c) y.values.push_back(value(r, c));
  }
  return y;
}

/// x + gain y.
Rows added(Rows x, double gain, const Rows& y) {
  REQUIRE((x.columns == y.columns && x.values.size() == y.values.size()));
  for (std::size_t i = 0; i < x.values.size(); ++i) x.values[i] += gain * y.values[i];
  return x;
}

/// Makes the mean of the values first, first + step, ... 0 and their variance 1, nearly.
void normalise(Rows& x, Index first, Index step, Index count) {
  double mean = 0, variance = 0;
  for (Index i = 0; i < count; ++i) mean += x.values[at(first + i * step)] / static_cast<double>(count);
  for (Index i = 0; i < count; ++i) variance += std::pow(x.values[at(first + i * step)] - mean, 2) / static_cast<double>(count);
  for (Index i = 0; i < count; ++i) x.values[at(first + i * step)] = (x.values[at(first + i * step)] - mean) / std::sqrt(variance + 1e-5);
}
/// Ba, Kiros and Hinton's: each row by itself.
Rows layer_normalised(Rows x) {
  for (Index r = 0; r < x.rows(); ++r) normalise(x, r * x.columns, 1, x.columns);
  return x;
}
/// Ioffe and Szegedy's: each column by itself, with the moments of this batch.
Rows batch_normalised(Rows x) {
  for (Index c = 0; c < x.columns; ++c) normalise(x, c, x.columns, x.rows());
  return x;
}

/// The mean row of each `length` rows.
Rows means(const Rows& x, Index length) {
  return generated(x.rows() / length, x.columns, [&](Index n, Index c) {
    double sum = 0;
    for (Index t = 0; t < length; ++t) sum += x(n * length + t, c);
    return sum / static_cast<double>(length);
  });
}

/// Images of another side: cut off, or with zeros beyond their lower and right edges.
Rows resized(const Rows& x, Index side, Index to) {
  return generated(x.rows() / (side * side) * to * to, x.columns, [&](Index r, Index c) {
    const Index i = r / to % to, j = r % to;
    return i < side && j < side ? x((r / (to * to) * side + i) * side + j, c) : 0.0;
  });
}

/// What the layers of a block are called, less the ".weight" of the mlp's.
struct BlockNames {
  std::string qkv, proj, heads, first, second;
};

/// The weights of a model by their names, and layers with them.
struct Net {
  std::map<std::string, std::vector<double>> weights;  ///< times their gates; structured gates alone

  template <class Model>
  Net(Model& model, Rescale rescale, const PassOptions& how) : weights(named_weights(model, rescale, how)) {}

  /// A structured gate, where the model has them.
  double gate(const std::string& name, Index i) const {
    const auto found = weights.find(name);
    return found == weights.end() ? 1 : found->second.at(at(i));
  }

  /// With weights [out, size, size, in], on images of `side` pixels.
  Rows conv(const Rows& x, const std::string& name, Index side, Index size, Index stride, Index padding) const {
    const auto& w = weights.at(name);
    const Index filter = size * size * x.columns, to = (side + 2 * padding - size) / stride + 1;
    return generated(x.rows() / (side * side) * to * to, static_cast<Index>(w.size()) / filter, [&](Index r, Index o) {
      double sum = 0;
      for (Index p = 0; p < size; ++p) {
        for (Index q = 0; q < size; ++q) {
          const Index i = r / to % to * stride + p - padding, j = r % to * stride + q - padding;
          if (i < 0 || i >= side || j < 0 || j >= side) continue;
          for (Index c = 0; c < x.columns; ++c) sum += w[at(o * filter + (p * size + q) * x.columns + c)] * x((r / (to * to) * side + i) * side + j, c);
        }
      }
      return sum;
    });
  }
  Rows linear(const Rows& x, const std::string& name) const { return conv(x, name, 1, 1, 1, 0); }

  /// Dosovitskiy et al.'s patches, or Xiao et al.'s stem: convolutions of 3 x 3, of which the first halve images until their pixels are patches.
  template <class Options>
  Rows tokens(Rows x, const std::string& name, const Options& options) const {
    if (options.stem.empty()) return conv(x, name + ".weight", options.size, options.patch, options.patch, 0);
    Index side = options.size;
    for (std::size_t l = 0; l < options.stem.size(); ++l) {
      const Index stride = side > options.size / options.patch ? 2 : 1;
      x = batch_normalised(conv(x, concat(name, ".conv_bn_relu_", l, ".0.weight"), side, 3, stride, 1));
      for (double& value : x.values) value = std::max(value, 0.0);
      side /= stride;
    }
    return linear(x, name + ".conv_last.weight");
  }

  /// Vaswani et al.'s attention over sequences of `length` tokens; queries, then keys, then values of all heads are the columns of qkv. term(head,
  /// query, key) is added to the logits; -infinity where the query does not see the key.
  template <class Term>
  Rows attention(const Rows& x, const BlockNames& names, Index length, Index heads, double scale, const Term& term) const {
    const Rows qkv = linear(x, names.qkv);
    const Index size = x.columns / heads;
    const auto seen = [&](Index r, Index column) {
      const Index head = column / size, query = r % length;
      double sum = 0, total = 0;
      for (Index key = 0; key < length; ++key) {
        double logit = 0;
        for (Index c = head * size; c < (head + 1) * size; ++c) logit += qkv(r, c) * qkv(r - query + key, x.columns + c);
        const double weight = std::exp(scale * logit / std::sqrt(static_cast<double>(size)) + term(head, query, key));
        sum += weight * qkv(r - query + key, 2 * x.columns + column);
        total += weight;
      }
      return gate(names.heads, head) * sum / total;
    };
    return linear(generated(x.rows(), x.columns, seen), names.proj);
  }

  /// h = x + gain attend(norm(x)), then h + gain mlp(norm(h)).
  template <class Attend>
  Rows block(const Rows& x, const BlockNames& names, double gain, const Attend& attend) const {
    const Rows h = added(x, gain, attend(layer_normalised(x)));
    const Rows hidden = linear(layer_normalised(h), names.first + ".weight");
    const auto gelu = [&](Index r, Index c) { return gate(names.first + ".units", c) * hidden(r, c) * normal_distribution_of(hidden(r, c)); };
    return added(h, gain, linear(generated(hidden.rows(), hidden.columns, gelu), names.second + ".weight"));
  }
};

/// Column c of so many of the waves at place t.
double wave(Index t, Index c, Index columns) {
  const Index half = columns / 2;
  const double angle = static_cast<double>(t) / std::pow(10000, static_cast<double>(c % half) / static_cast<double>(half));
  return c < half ? std::sin(angle) : std::cos(angle);
}

/// Dosovitskiy et al., ICLR 2021, called as torchvision's vision_transformer.py calls it.
Rows vit(const Net& net, const models::VitOptions& options, const Tensor<double>& images) {
  const Index side = options.size / options.patch, columns = options.columns, half = columns / 2;
  const bool has_class = options.pooling == models::Pooling::class_token;
  const Index length = side * side + has_class;
  const Rows patches = net.tokens({options.channels, {images.begin(), images.end()}}, "conv_proj", options);
  const auto position = [&](Index t, Index c) {
    if (options.position == nn::Position::random) return net.weights.at("encoder.pos_embedding")[at(t * columns + c)];
    const Index patch = t - has_class;
    if (patch < 0) return 0.0;
    return c < half ? wave(patch / side, c, half) : wave(patch % side, c - half, half);
  };
  Rows h = generated(images.shape()[0] * length, columns, [&](Index r, Index c) {
    const Index t = r % length, patch = r / length * side * side + t - has_class;
    return (has_class && t == 0 ? net.weights.at("class_token")[at(c)] : patches(patch, c)) + position(t, c);
  });
  for (Index l = 0; l < options.depth; ++l) {
    const std::string layer = concat("encoder.layers.encoder_layer_", l), attention = layer + ".self_attention";
    const BlockNames names{attention + ".in_proj_weight", attention + ".out_proj.weight", attention + ".heads", layer + ".mlp.0", layer + ".mlp.3"};
    h = net.block(h, names, options.branch_gain, [&](const Rows& x) {
      return net.attention(x, names, length, options.heads, options.attention_scale, [](Index, Index, Index) { return 0.0; });
    });
  }
  h = layer_normalised(h);
  const auto first = [&](Index n, Index c) { return h(n * length, c); };
  return net.linear(has_class ? generated(images.shape()[0], columns, first) : means(h, length), "heads.head.weight");
}

/// Liu et al., ICCV 2021, called as torchvision's swin_transformer.py calls it, which fills windows up with zeros that are seen; windows are no larger
/// than the image. The paper's cyclic shift and its mask are a fast way to what figure 2 shows, and what is here: the windows of every other block lie
/// half a window on, and the edges of the image cut them off.
Rows swin(const Net& net, const models::SwinOptions& options, const Tensor<double>& images) {
  Index side = options.size / options.patch;
  Rows h = layer_normalised(net.tokens({options.channels, {images.begin(), images.end()}}, "features.0.0", options));
  for (std::size_t s = 0; s < options.depths.size(); ++s) {
    if (s > 0) {
      const Index half = (side + 1) / 2, columns = h.columns;
      const Rows even = resized(h, side, 2 * half);
      const auto merged = [&](Index r, Index c) {  // upper left, lower left, upper right, lower right
        const Index i = 2 * (r / half % half) + c / columns % 2, j = 2 * (r % half) + c / columns / 2;
        return even((r / (half * half) * 2 * half + i) * 2 * half + j, c % columns);
      };
      h = net.linear(layer_normalised(generated(even.rows() / 4, 4 * columns, merged)), concat("features.", 2 * s, ".reduction.weight"));
      side = half;
    }
    const Index window = std::min(options.window, side), padded = (side + window - 1) / window * window, heads = options.heads[s];
    for (Index b = 0; b < options.depths[s]; ++b) {
      const std::string block = concat("features.", 2 * s + 1, '.', b);
      const Index shift = b % 2 == 1 && side > window ? window / 2 : 0;
      const auto& table = net.weights.at(block + ".attn.relative_position_bias_table");
      REQUIRE(table.size() == at((2 * window - 1) * (2 * window - 1) * heads));
      const auto tile = [&](Index place) { return (place + window - shift) / window; };
      const auto term = [&](Index head, Index query, Index key) -> double {
        const Index i = query / padded, j = query % padded, k = key / padded, l = key % padded;
        if (tile(i) != tile(k) || tile(j) != tile(l)) return -INFINITY;
        return table[at(((i - k + window - 1) * (2 * window - 1) + j - l + window - 1) * heads + head)];
      };
      const BlockNames names{block + ".attn.qkv.weight", block + ".attn.proj.weight", block + ".heads", block + ".mlp.0", block + ".mlp.3"};
      h = net.block(h, names, options.branch_gain, [&](const Rows& x) {
        return resized(net.attention(resized(x, side, padded), names, padded * padded, heads, options.attention_scale, term), padded, side);
      });
    }
  }
  return net.linear(means(layer_normalised(h), side * side), "head.weight");
}

/// Radford et al., 2019, called as nanoGPT calls it, with waves for positions and a head of its own.
Rows gpt(const Net& net, const models::GptOptions& options, const Tensor<std::int32_t>& ids) {
  const Index length = ids.shape()[1], columns = options.columns;
  const auto& table = net.weights.at("transformer.wte.weight");
  Rows h = generated(ids.size(), columns, [&](Index r, Index c) { return table[at(ids[r] * columns + c)] + wave(r % length, c, columns); });
  for (Index l = 0; l < options.depth; ++l) {
    const std::string layer = concat("transformer.h.", l);
    const BlockNames names{layer + ".attn.c_attn.weight", layer + ".attn.c_proj.weight", layer + ".attn.heads", layer + ".mlp.c_fc", layer + ".mlp.c_proj"};
    h = net.block(h, names, options.branch_gain, [&](const Rows& x) {
      const auto term = [](Index, Index query, Index key) { return key <= query ? 0 : -INFINITY; };
      return net.attention(x, names, length, options.heads, options.attention_scale, term);
    });
  }
  return net.linear(layer_normalised(h), "lm_head.weight");
}

// Both sides compute in double and differ in the order of sums and in the last places of exp and erf: by 3e-15 at most. Three hundred times that is
// still far below what the smallest mistake changes: an epsilon of 1e-6 in place of 1e-5 moves logits by 1e-6.
constexpr double tolerance = 1e-12;

/// The reference reads weights that were drawn with gains of 1; the options' gains, powers of two, scale them without rounding.
template <class Model, class Options, class Input, class Reference>
void check_model(const Reference& reference, const Options& options, const Input& x, Rescale rescale) {
  const nn::Init init{.seed = 3, .weights = WeightInit::kaiming_normal, .gates = {.sigma = 0.1, .start = 0.6, .start_deviation = 0.2}, .rescale = rescale};
  const PassOptions how{.gates = Reading::sampled, .seed = 5, .step = 7, .normalisation = Normalisation::batch};
  Options without_gains = options;
  without_gains.branch_gain = without_gains.head_gain = 1;
  Model plain(init, without_gains), model(init, options);
  const Rows expected = reference(Net(plain, rescale, how), options, x);
  Context context(1);
  Inference<double> pass(context, how);
  Var<double> logits;
  if constexpr (requires { model(pass, x.view()); }) {
    logits = model(pass, x.view());
  } else {
    logits = model(pass.input(x.view()));
  }
  REQUIRE(logits.shape() == Shape{expected.rows(), expected.columns});
  double worst = 0, largest = 0;
  for (Index i = 0; i < logits.shape().size(); ++i) {
    const double value = options.head_gain * expected.values[at(i)];
    test::widen(worst, std::abs(logits.value()[i] - value));
    largest = std::max(largest, std::abs(value));
  }
  CHECK(worst / largest < tolerance);  // NaN, which is below nothing, if all logits are 0
}

/// Trained weights, and frozen ones under gates on weights, heads and hidden neurons.
template <template <template <class> class, class> class Model, class Options, class Input, class Reference>
void check_logits(const Reference& reference, Options options, const Input& x) {
  check_model<Model<nn::Trained, double>>(reference, options, x, Rescale::none);
  options.unit_gates = true;
  check_model<Model<nn::Gated, double>>(reference, options, x, Rescale::layer);
}

}  // namespace

TEST_CASE("vit: logits of the published network") {
  for (const auto pooling : {models::Pooling::mean, models::Pooling::class_token}) {
    for (const auto position : {nn::Position::sine, nn::Position::random}) {
      CAPTURE(static_cast<int>(pooling));
      CAPTURE(static_cast<int>(position));
      models::VitOptions options{.columns = 12, .depth = 2, .heads = 3, .mlp = 7, .size = 9, .patch = 3, .channels = 2, .outputs = 5};
      options.pooling = pooling;
      options.position = position;
      check_logits<models::Vit>(vit, options, random_tensor<double>({2, 9, 9, 2}, 1));
      options.size = 12;
      options.patch = 4;
      options.stem = {4, 6, 5};
      options.attention_scale = 0.3;
      options.branch_gain = 0.5;
      options.head_gain = 0.25;
      check_logits<models::Vit>(vit, options, random_tensor<double>({3, 12, 12, 2}, 1));
    }
  }
}

TEST_CASE("swin: logits of the published network") {
  models::SwinOptions options{.columns = 6, .depths = {2, 1}, .heads = {2, 3}, .mlp_ratio = 2, .patch = 3, .channels = 2, .outputs = 5};
  const auto check = [&](Index tokens_side, Index window) {
    CAPTURE(tokens_side);
    CAPTURE(window);
    options.size = options.patch * tokens_side;
    options.window = window;
    check_logits<models::Swin>(swin, options, random_tensor<double>({2, options.size, options.size, 2}, 1));
  };
  check(4, 2);  // windows divide the images
  check(5, 2);  // and do not: zeros are padded, to windows and to merge patches
  options.depths = {3, 2};
  check(6, 3);  // the second stage is one window, which does not move
  check(8, 3);  // both stages move, and are padded
  options.depths = {2, 2, 1};
  options.heads = {1, 2, 4};
  check(8, 4);  // windows move by two; the last stage has images smaller than a window
  options.patch = 2;
  options.stem = {4, 5};
  options.attention_scale = 0.3;
  options.branch_gain = 0.5;
  options.head_gain = 0.25;
  check(7, 3);
}

TEST_CASE("gpt: logits of the published network") {
  const Tensor<double> numbers = random_tensor<double>({3, 5}, 1, 0, 7);
  Tensor<std::int32_t> ids({3, 5});
  for (Index i = 0; i < ids.size(); ++i) ids[i] = static_cast<std::int32_t>(numbers[i]);
  models::GptOptions options{.vocabulary = 7, .length = 5, .columns = 6, .depth = 2, .heads = 3, .mlp = 11};
  check_logits<models::Gpt>(gpt, options, ids);
  options.length = 9;  // sequences are shorter
  options.attention_scale = 0.3;
  options.branch_gain = 0.5;
  options.head_gain = 0.25;
  check_logits<models::Gpt>(gpt, options, ids);
}
