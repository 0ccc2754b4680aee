#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <string>
#include <vector>

#include "support/arrays.hpp"
#include "support/gates.hpp"
#include "support/named_weights.hpp"
#include "support/tensors.hpp"
#include "support/worst.hpp"
#include "tombola/models/conv_n.hpp"
#include "tombola/models/fast_resnet.hpp"
#include "tombola/models/resnet.hpp"
#include "tombola/models/shallow_cnn.hpp"

using namespace tombola;
using namespace test_support;
using test::at;

// The networks as they were published, by loops over pixels in double: nothing here calls an op, a kernel or a layer.
namespace {

/// Row-major values [batch, height, width, channels]; vectors are images of one pixel.
struct Images {
  Index batch, height, width, channels;
  std::vector<double> values;

  double operator()(Index n, Index i, Index j, Index c) const { return values[at(((n * height + i) * width + j) * channels + c)]; }
};

/// The images whose values are value(n, i, j, c).
template <class Value>
Images generated(Index batch, Index height, Index width, Index channels, const Value& value) {
  Images y{batch, height, width, channels, {}};
  for (Index k = 0; k < batch * height * width * channels; ++k) {
    const Index c = k % channels, j = k / channels % width, i = k / channels / width % height;
    y.values.push_back(value(k / channels / width / height, i, j, c));
  }
  return y;
}

/// Slides a window over padded images: value(n, c, window) for each of its places, where window(f) calls f(p, q, i, j) for each of its
/// elements (p, q) that lies on a pixel (i, j) of the image.
template <class Value>
Images windowed(const Images& x, Index channels, Index size, Index stride, Index padding, const Value& value) {
  const auto places = [&](Index extent) { return (extent + 2 * padding - size) / stride + 1; };
  return generated(x.batch, places(x.height), places(x.width), channels, [&](Index n, Index row, Index column, Index c) {
    return value(n, c, [&](const auto& f) {
      for (Index p = 0; p < size; ++p) {
        for (Index q = 0; q < size; ++q) {
          const Index i = row * stride + p - padding, j = column * stride + q - padding;
          if (0 <= i && i < x.height && 0 <= j && j < x.width) f(p, q, i, j);
        }
      }
    });
  });
}

Images max_pool(const Images& x, Index size, Index stride, Index padding = 0) {
  return windowed(x, x.channels, size, stride, padding, [&](Index n, Index c, const auto& window) {
    double largest = -INFINITY;
    window([&](Index, Index, Index i, Index j) { largest = std::max(largest, x(n, i, j, c)); });
    return largest;
  });
}

Images relu(Images x) {
  for (double& value : x.values) value = std::max(value, 0.0);
  return x;
}

Images added(Images x, const Images& y) {
  REQUIRE(x.values.size() == y.values.size());
  for (std::size_t i = 0; i < x.values.size(); ++i) x.values[i] += y.values[i];
  return x;
}

/// Images as vectors: channel after channel, each row by row, as PyTorch lays them out.
Images flattened(const Images& x) {
  const Index pixels = x.height * x.width;
  return generated(x.batch, 1, 1, x.channels * pixels,
                   [&](Index n, Index, Index, Index k) { return x(n, k % pixels / x.width, k % x.width, k / pixels); });
}

Images mean_over_pixels(const Images& x) {
  const Index pixels = x.height * x.width;
  return generated(x.batch, 1, 1, x.channels, [&](Index n, Index, Index, Index c) {
    double sum = 0;
    for (Index k = 0; k < pixels; ++k) sum += x(n, k / x.width, k % x.width, c);
    return sum / static_cast<double>(pixels);
  });
}

/// What normalisation has seen of one channel.
struct Moments {
  double mean = 0, variance = 1, rows = 0;
};

/// The weights of a model by their names, and layers with them. Padding keeps the size of the image; layers have no biases.
struct Layers {
  std::map<std::string, std::vector<double>> weights;  ///< times their gates; structured gates alone
  std::map<std::string, std::vector<Moments>> moments;
  Normalisation normalisation = Normalisation::batch;

  template <class Model>
  Layers(Model& model, Rescale rescale, const PassOptions& how) : weights(named_weights(model, rescale, how)) {}

  /// With weights [out, size, size, in].
  Images conv(const Images& x, const std::string& name, Index out, Index size, Index stride = 1) const {
    const auto& w = weights.at(name + ".weight");
    REQUIRE(w.size() == at(out * size * size * x.channels));
    return windowed(x, out, size, stride, size / 2, [&](Index n, Index o, const auto& window) {
      double sum = 0;
      window([&](Index p, Index q, Index i, Index j) {
        for (Index c = 0; c < x.channels; ++c) sum += w[at(((o * size + p) * size + q) * x.channels + c)] * x(n, i, j, c);
      });
      return sum;
    });
  }
  Images linear(const Images& x, const std::string& name, Index out) const { return conv(x, name, out, 1); }
  /// Ioffe and Szegedy's with PyTorch's constants, without weights: running variances are unbiased.
  Images norm(Images x, const std::string& name) {
    const double rows = static_cast<double>(x.batch * x.height * x.width);
    const std::size_t channels = at(x.channels);
    moments[name].resize(channels);
    for (std::size_t c = 0; c < channels; ++c) {
      Moments& seen = moments[name][c];
      double mean = 0, variance = 0;
      for (std::size_t i = c; i < x.values.size(); i += channels) mean += x.values[i] / rows;
      for (std::size_t i = c; i < x.values.size(); i += channels) variance += (x.values[i] - mean) * (x.values[i] - mean) / rows;
      if (normalisation == Normalisation::running) {
        mean = seen.mean;
        variance = seen.variance;
      } else {
        seen.rows += rows;
        const double share = normalisation == Normalisation::collect ? rows / seen.rows : 0.1;
        seen.mean += share * (mean - seen.mean);
        seen.variance += share * (variance * rows / (rows - 1) - seen.variance);
      }
      for (std::size_t i = c; i < x.values.size(); i += channels) x.values[i] = (x.values[i] - mean) / std::sqrt(variance + 1e-5);
    }
    return x;
  }
  /// Structured gates on the channels that a layer made, where the model has them.
  Images gated(Images x, const std::string& layer) const {
    const auto found = weights.find(layer + ".units");
    if (found == weights.end()) return x;
    REQUIRE(found->second.size() == at(x.channels));
    for (std::size_t i = 0; i < x.values.size(); ++i) x.values[i] *= found->second[i % at(x.channels)];
    return x;
  }
};

Index scaled(Index channels, double width) { return static_cast<Index>(static_cast<double>(channels) * width); }

/// Frankle and Carbin's Conv-2, 4 and 6, Ramanujan et al.'s Conv-8.
Images conv_n(Layers& net, const models::ConvNOptions& options, Images h) {
  for (int l = 1; l <= options.depth; ++l) {
    const std::string conv = concat("conv", l);
    h = net.gated(relu(net.conv(h, conv, scaled(Index{64} << (l - 1) / 2, options.width), 3)), conv);
    if (l % 2 == 0) h = max_pool(h, 2, 2);
  }
  h = flattened(h);
  for (const char* fc : {"fc1", "fc2"}) h = net.gated(relu(net.linear(h, fc, scaled(256, options.width))), fc);
  return net.linear(h, "fc3", options.outputs);
}

Images shallow_cnn(Layers& net, const models::ShallowCnnOptions& options, Images h) {
  int l = 0;
  for (const Index channels : options.stages) {
    const std::string conv = concat("conv", ++l);
    h = net.gated(max_pool(relu(net.conv(h, conv, scaled(channels, options.width), 3)), 2, 2), conv);
  }
  return net.linear(flattened(h), "fc", options.outputs);
}

/// After Page's ResNet-9, as the model's header has it: one convolution beside each skip connection, a maximum at the end.
Images fast_resnet(Layers& net, const models::FastResNetOptions& options, Images h) {
  h = relu(net.norm(net.conv(h, "conv1", scaled(options.stem, options.width), 3), "bn1"));
  int s = 0;
  for (const Index channels : options.stages) {
    const std::string stage = concat("stage", ++s);
    const Index out = scaled(channels, options.width);
    h = relu(net.norm(max_pool(net.conv(h, stage + ".conv", out, 3), 2, 2), stage + ".bn"));
    h = net.gated(h, stage + ".conv");
    h = relu(added(net.norm(net.conv(h, stage + ".residual", out, 3), stage + ".residual_bn"), h));
  }
  return net.linear(max_pool(h, h.height, 1), "fc", options.outputs);
}

/// torchvision's resnet.py: bottlenecks have their stride in the 3 x 3 convolution.
Images resnet(Layers& net, const models::ResNetOptions& options, Images h) {
  const bool imagenet = options.stem == models::Stem::imagenet;
  const Index first = scaled(64, options.width);
  h = relu(net.norm(net.conv(h, "conv1", first, imagenet ? 7 : 3, imagenet ? 2 : 1), "bn1"));
  if (options.stem != models::Stem::cifar) h = max_pool(h, 3, 2, 1);
  for (std::size_t stage = 0; stage < 4; ++stage) {
    const Index planes = first << stage, inner = scaled(planes, options.inner_width), out = options.bottleneck ? 4 * planes : planes;
    for (int b = 0; b < options.blocks[stage]; ++b) {
      const std::string block = concat("layer", stage + 1, '.', b);
      const Index stride = stage > 0 && b == 0 ? 2 : 1;
      struct Conv {
        Index out, size, stride;
      };
      const auto body = options.bottleneck ? std::vector<Conv>{{inner, 1, 1}, {inner, 3, stride}, {out, 1, 1}}
                                           : std::vector<Conv>{{out, 3, stride}, {out, 3, 1}};
      Images y = h;
      for (std::size_t l = 1; l <= body.size(); ++l) {
        const std::string conv = concat(block, ".conv", l);
        y = net.norm(net.conv(y, conv, body[l - 1].out, body[l - 1].size, body[l - 1].stride), concat(block, ".bn", l));
        if (l < body.size()) y = net.gated(relu(y), conv);
      }
      if (stride != 1 || h.channels != out) h = net.norm(net.conv(h, block + ".downsample.0", out, 1, stride), block + ".downsample.1");
      h = relu(added(y, h));
    }
  }
  return net.linear(mean_over_pixels(h), "fc", options.outputs);
}

Images images(const Tensor<double>& x) {
  const Shape& s = x.shape();
  return {s[0], s[1], s[2], s[3], {x.begin(), x.end()}};
}

/// The largest difference of logits, relative to the largest logit; NaN, which is below no tolerance, if all are 0.
double difference(View<const double> got, const Images& expected, double gain = 1) {
  if (got.shape() != Shape{expected.batch, expected.channels}) return INFINITY;
  double worst = 0, largest = 0;
  for (Index i = 0; i < got.size(); ++i) {
    const double value = gain * expected.values[at(i)];
    test::widen(worst, std::abs(got[i] - value));
    largest = std::max(largest, std::abs(value));
  }
  return worst / largest;
}

// Both sides compute in double and differ in the order of sums alone: by some 1e-15 without normalisation. Each normalisation divides by a deviation
// over few rows and enlarges the errors before it, to 1e-12 through the 53 of a ResNet-50 that ends with six rows. A hundred times that is still far
// below what the smallest mistake changes: an epsilon of 1e-6 in place of 1e-5 moves logits by 9e-6.
constexpr double tolerance = 1e-10;

/// A network under gates on its weights, with and without structured ones: as a ticket, and as a step of a search draws it. The reference reads
/// the weights of a head with a gain of 1; the other gain, a power of two, scales them without rounding.
template <template <template <class> class, class> class Model, class Options, class Reference>
void check_logits(const Reference& reference, Options options, const Shape& shape) {
  const Tensor<double> x = random_tensor<double>(shape, 1);
  Context context(1);
  for (const bool units : {false, true}) {
    for (const Reading reading : {Reading::binary, Reading::sampled}) {
      CAPTURE(units);
      CAPTURE(static_cast<int>(reading));
      const Rescale rescale = reading == Reading::sampled ? Rescale::layer : Rescale::none;
      const nn::Init init{.seed = 3, .weights = WeightInit::kaiming_normal, .gates = {.start = 0.6, .start_deviation = 0.3}, .rescale = rescale};
      const PassOptions how{.gates = reading, .seed = 5, .step = 7, .normalisation = Normalisation::batch};
      options.unit_gates = units;
      options.head_gain = 1;
      Model<nn::Gated, double> plain(init, options);
      options.head_gain = 0.25;
      Model<nn::Gated, double> model(init, options);
      Layers layers(plain, rescale, how);
      Inference<double> pass(context, how);
      CHECK(difference(model(pass.input(x.view())).value(), reference(layers, options, images(x)), 0.25) < tolerance);
    }
  }
}

}  // namespace

TEST_CASE("conv_n and shallow_cnn: logits of the published networks") {
  for (const int depth : {2, 4, 6, 8}) {
    CAPTURE(depth);
    const Index size = Index{3} << depth / 2;
    check_logits<models::ConvN>(conv_n, models::ConvNOptions{.depth = depth, .size = size, .outputs = 5, .width = 1.0 / 16}, {2, size, size, 3});
  }
  check_logits<models::ShallowCnn>(shallow_cnn, models::ShallowCnnOptions{.stages = {4, 6}, .size = 12, .channels = 2, .outputs = 5}, {3, 12, 12, 2});
}

TEST_CASE("fast_resnet: logits of the network that its header describes") {
  for (const Index size : {4, 12}) {  // one pixel is left, and nine
    CAPTURE(size);
    check_logits<models::FastResNet>(
        fast_resnet, models::FastResNetOptions{.stem = 4, .stages = {6, 5}, .size = size, .channels = 2, .outputs = 5}, {3, size, size, 2});
  }
}

TEST_CASE("resnet: logits of torchvision's networks, with each stem") {
  for (const auto stem : {models::Stem::imagenet, models::Stem::cifar, models::Stem::pooled}) {
    for (models::ResNetOptions options : {models::resnet18(), models::resnet50(), models::wide_resnet50_2()}) {
      CAPTURE(static_cast<int>(stem));
      CAPTURE(options.bottleneck);
      CAPTURE(options.inner_width);
      options.stem = stem;
      options.width = 1.0 / 16;
      // 2 x 1 pixels or more are left: normalisation over a pixel of each image alone would be ill-conditioned.
      check_logits<models::ResNet>(resnet, options, stem == models::Stem::imagenet ? Shape{3, 33, 21, 3} : Shape{3, 17, 11, 3});
    }
  }
}

TEST_CASE("resnet: logits from running statistics, which follow batches with a momentum or are averages over them") {
  models::ResNetOptions options = models::resnet18();
  options.width = 1.0 / 16;
  Context context(1);
  for (const auto seen : {Normalisation::batch, Normalisation::collect}) {
    CAPTURE(static_cast<int>(seen));
    models::ResNet<nn::Frozen, double> model({.seed = 3, .weights = WeightInit::kaiming_normal}, options);
    Layers layers(model, Rescale::none, {});
    const auto check = [&](Normalisation normalisation, const Shape& shape, std::uint32_t seed) {
      const Tensor<double> x = random_tensor<double>(shape, seed);
      layers.normalisation = normalisation;
      Inference<double> pass(context, {.normalisation = normalisation});
      CHECK(difference(model(pass.input(x.view())).value(), resnet(layers, options, images(x))) < tolerance);
    };
    check(seen, {3, 9, 7, 3}, 1);
    check(seen, {2, 9, 7, 3}, 2);
    check(Normalisation::running, {1, 8, 10, 3}, 3);
  }
}
