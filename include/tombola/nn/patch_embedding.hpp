/// \file
/// PatchEmbedding: the tokens of a vision transformer, from patches or from a stem of convolutions.
#pragma once

#include <string>
#include <tuple>
#include <vector>

#include "tombola/nn/batch_norm.hpp"
#include "tombola/nn/connections.hpp"
#include "tombola/nn/conv2d.hpp"

namespace tombola::inline TOMBOLA_ISA::nn {

/// y = relu(norm(conv(x))) with a convolution of 3 x 3. Called as torchvision calls it: name.0 and name.1.
template <template <class> class Source, class T = float>
struct StemLayer {
  Conv2d<Source, T> conv;
  BatchNorm<T> norm;

  StemLayer(Init& init, const std::string& name, Index in, Index out, Index stride)
      : conv(init, name + ".0", in, out, 3, {.stride = {stride, stride}, .padding = {1, 1}}),
        norm(name + ".1", out, {.relu = true}) {}

  Var<T> operator()(const Var<T>& x) { return norm(conv(x)); }
  auto members() { return std::tie(conv, norm); }
};

/// One token for each patch x patch pixels: a convolution as large as the patch. Or, where a stem gives channels, convolutions of 3 x 3 with
/// so many, each normalised and with a ReLU, of which the first log2(patch) halve the image, and one of 1 x 1: patches that overlap.
/// Source: Dosovitskiy et al., "An image is worth 16x16 words", ICLR 2021; the stem: Xiao et al., "Early convolutions help transformers see
/// better", NeurIPS 2021.
template <template <class> class Source, class T = float>
struct PatchEmbedding {
  std::vector<StemLayer<Source, T>> stem;
  Conv2d<Source, T> last;

  /// Throws `std::invalid_argument` for a stem unless the patch is a power of two, and the stem has a layer for each halving.
  PatchEmbedding(Init& init, const std::string& name, Index channels, Index columns, Index patch, const std::vector<Index>& stem_channels)
      : stem(make_stem(init, name, channels, patch, stem_channels)),
        last(init, stem.empty() ? name : name + ".conv_last", stem.empty() ? channels : stem_channels.back(), columns, stem.empty() ? patch : 1,
             stem.empty() ? ConvOptions{.stride = {patch, patch}} : ConvOptions{}) {}

  /// x [batch, height, width, channels] -> tokens [batch, height / patch, width / patch, columns].
  Var<T> operator()(const Var<T>& x) {
    Var<T> h = x;
    for (auto& layer : stem) h = layer(h);
    return last(h);
  }
  auto members() { return std::tie(stem, last); }
  void connect(ConnectionChain& chain) const {
    for (const auto& layer : stem) chain.add(layer.conv.name + ".weight");
    chain.add(last.name + ".weight");
  }

 private:
  static std::vector<StemLayer<Source, T>> make_stem(Init& init, const std::string& name, Index in, Index patch, const std::vector<Index>& channels) {
    std::vector<StemLayer<Source, T>> made;
    Index reduced = 1;
    for (const Index out : channels) {
      const Index stride = reduced < patch ? 2 : 1;
      made.emplace_back(init, concat(name, ".conv_bn_relu_", made.size()), in, out, stride);
      reduced *= stride;
      in = out;
    }
    require(channels.empty() || reduced == patch, name, ": expected a stem that halves images to patches of ", patch, ", got ", channels.size(),
            " layers, which make ", reduced);
    return made;
  }
};

}  // namespace tombola::inline TOMBOLA_ISA::nn
