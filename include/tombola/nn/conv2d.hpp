/// \file
/// Conv2d: a convolution over any weight source.
#pragma once

#include <string>
#include <tuple>
#include <utility>

#include "tombola/nn/check_finite.hpp"
#include "tombola/nn/weight_sources.hpp"
#include "tombola/ops/conv2d.hpp"

namespace tombola::inline TOMBOLA_ISA::nn {

/// y = s conv(x, w) with a weight w [out, kernel, kernel, in / groups] from its source and, where its gates are rescaled, their factor s.
/// No bias.
///
///     Conv2d<Gated> conv1(init, "conv1", 3, 64, 3, {.padding = {1, 1}});
template <template <class> class Source, class T = float>
struct Conv2d {
  std::string name;
  Index in, out, kernel;
  ConvOptions options;
  Source<T> weight;

  /// Throws `std::invalid_argument` unless in, out, kernel, strides and dilations are at least 1, padding at least 0, and in and out divisible by the
  /// groups.
  Conv2d(Init& init, std::string layer, Index inputs, Index outputs, Index kernel_size, const ConvOptions& walk = {})
      : name(std::move(layer)),
        in(inputs),
        out(outputs),
        kernel(kernel_size),
        options(walk),
        weight(make_weight(init)) {}

  /// x [batch, height, width, in] -> y [batch, height', width', out]. Throws `std::invalid_argument` for another x.
  Var<T> operator()(const Var<T>& x) {
    require(x.shape().rank() == 4 && x.shape()[3] == in, name, ": expected x [batch, height, width, ", in, "], got ", x.shape());
    const GatedWeight<T> source = weight(x.pass());
    tombola::detail::conv_shape(name, x.shape(), source.weight.shape(), options);  // refuses under the layer's name
    const bool many_outputs = source.weight.shape().size() < x.shape().size() / in * out / options.stride[0] / options.stride[1];
    Var<T> y = rescaled(source, many_outputs, [&](const Var<T>& w) { return conv2d(x, w, options); });
    if (x.pass().options().checks_finite) check_finite(name, y);
    return y;
  }
  auto members() { return std::tie(weight); }

 private:
  Source<T> make_weight(Init& init) const {
    const Shape shape = checked_shape();  // before anything is divided by the groups
    return {init, name + ".weight", shape, Fans{kernel * kernel * in / options.groups, kernel * kernel * out / options.groups}};
  }
  Shape checked_shape() const {
    require(kernel >= 1, name, ": expected a kernel of at least 1, got ", kernel);
    require(in >= 1 && out >= 1 && options.groups >= 1 && in % options.groups == 0 && out % options.groups == 0, name,
            ": expected channels in and out that the groups divide, got ", in, " and ", out, " in ", options.groups, " groups");
    for (const auto& [what, pair] : {std::pair{"strides", options.stride}, std::pair{"dilations", options.dilation}})
      require(pair[0] >= 1 && pair[1] >= 1, name, ": expected ", what, " of at least 1, got ", pair[0], " and ", pair[1]);
    require(options.padding[0] >= 0 && options.padding[1] >= 0, name, ": expected padding of at least 0, got ", options.padding[0], " and ",
            options.padding[1]);
    return {out, kernel, kernel, in / options.groups};
  }
};

}  // namespace tombola::inline TOMBOLA_ISA::nn
