/// \file
/// Networks by name: the properties that describe one, which a ticket keeps, and the network that they describe.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "tombola/nn/named_weights.hpp"
#include "tombola/ticket/model.hpp"
#include "tombola/tombola.hpp"

namespace examples {

using namespace tombola;  // NOLINT: programs of this library

/// A network of any kind over any kind of weights.
using Network = nn::AnyModel<float>;

/// All that the weights of a network do not say, as text: `network`, `image` (height, width, channels), `classes`, `activation`, ...
using Properties = std::map<std::string, std::string>;

/// The networks for images with channels.
inline constexpr std::array<std::string_view, 15> image_network_names{"fast_resnet",     "shallow_cnn", "conv2",     "conv4",    "conv6",
                                                                      "conv8",           "resnet18",    "resnet34",  "resnet50", "wide_resnet50_2",
                                                                      "vit_tiny",        "vit_small",   "vit_base",  "swin",     "swin_tiny"};
inline constexpr std::array<std::string_view, 3> rescale_names{"none", "layer", "neuron"};
inline constexpr std::array<std::string_view, 3> stem_names{"imagenet", "cifar", "pooled"};
inline constexpr std::array<std::string_view, 2> position_names{"sine", "random"};
inline constexpr std::array<std::string_view, 2> pooling_names{"mean", "class_token"};

/// Where the weights of a network come from.
enum class Weights : std::uint8_t { frozen, gated, trained, joint };

/// Numbers so that they are read back exactly; several of them separated by commas.
std::string exact(double value);
std::string exact(const std::vector<double>& values);
std::string exact(const std::vector<Index>& values);

/// Reads properties. `where` stands before messages. All throw `std::runtime_error` if a property is missing or cannot be read.
class PropertyReader {
 public:
  PropertyReader(const Properties& properties, std::string where) : properties_(properties), where_(std::move(where)) {}
  bool has(const std::string& key) const { return properties_.contains(key); }
  const std::string& text(const std::string& key) const;
  double number(const std::string& key) const;
  double factor(const std::string& key) const;  ///< a number; 1 if it is not there
  std::vector<double> numbers(const std::string& key) const;
  std::vector<Index> counts(const std::string& key) const;  ///< whole numbers from 1 on
  Index count(const std::string& key) const;
  template <class E, std::size_t n>
  E choice(const std::string& key, const std::array<std::string_view, n>& names) const {
    try {
      return parse_name<E>(key.c_str(), names, text(key));
    } catch (const std::invalid_argument& wrong) {
      throw std::runtime_error(where_ + ": " + wrong.what());
    }
  }
  [[noreturn]] void refuse(const std::string& key, const std::string& expected) const;

 private:
  const Properties& properties_;
  std::string where_;
};

/// The network that properties describe, its weights drawn from the seed of `init`.
/// Throws `std::runtime_error` for properties that it does not know or that cannot be, `std::invalid_argument` as the model does.
Network make_network(const Properties& properties, const std::string& where, const nn::Init& init, Weights weights);

/// A ticket's network, its gates set to the ticket's masks.
/// Throws `std::runtime_error` if the ticket is of a network that this program does not know, or does not fit together.
Network ticket_network(const ticket::Ticket& ticket, const std::string& path);

/// What a ticket's input pixels are normalised by.
data::Statistics input_statistics(const ticket::Ticket& ticket, const std::string& path);

/// The bytes of a text as hexadecimal digits, two each: the property `alphabet`. And back: throws `std::runtime_error` unless they ascend.
std::string alphabet_property(const std::string& bytes);
std::string alphabet_of(const PropertyReader& properties);

/// Images, or sequences, in a batch of an evaluation: part of what the last bit of a result stands on, so the same for all programs.
Index evaluation_batch(const Properties& properties);

/// Replaces the drawn weights of a network by those in a file, and its running moments, which a search measures anew under each mask. Throws
/// `std::runtime_error` if a weight is missing or of another shape, or if the file holds something that the network does not have.
void load_frozen_weights(Network& network, const std::string& path);

/// The weights that compute the same as the network under the binary reading, in torchvision's shapes: masks and rescaling multiplied in,
/// and gates on channels too where nothing but weights reads them; other gates, and running moments, under their own names.
nn::NamedWeights effective_weights(Context& context, Network& network, Rescale rescale);

}  // namespace examples
