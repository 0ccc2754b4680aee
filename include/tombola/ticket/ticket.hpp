/// \file
/// Ticket: a strong lottery ticket as a seed and coded masks, in memory and as a file.
/// docs/ticket-format.md specifies the bytes.
#pragma once

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdint>
#include <map>
#include <set>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "tombola/core/bits.hpp"
#include "tombola/core/crc64.hpp"
#include "tombola/core/file.hpp"
#include "tombola/gates/weights.hpp"
#include "tombola/ticket/mask_coder.hpp"

namespace tombola::inline TOMBOLA_ISA::ticket {

/// The version of the file format. Readers refuse another major version. They accept any minor version, which may only
/// add values (initialisations, statistics formats, properties), and refuse a value that they do not know; they ignore
/// the patch version, which stands for the wording of the specification.
struct Version {
  std::uint16_t major = 1, minor = 0, patch = 0;
  friend bool operator==(const Version&, const Version&) = default;
};

/// The version that `encode` writes.
inline constexpr Version format_version{};

/// A gated weight matrix or kernel. Mask and weights are row-major in torchvision's shape.
struct Layer {
  std::string name;                ///< such as "fc1.weight"; unique
  Shape shape;                     ///< [out, in] or [out, in / groups, kh, kw]; 1 to 6 extents from 1 to 2^32 - 1
  FrozenWeights weights;           ///< of the ticket's seed; the id is unique
  Bits mask;                       ///< true where the weight is kept
  std::uint64_t weights_hash = 0;  ///< hash_weights of all weights at the search
};

/// A mask over something else than single weights: the neurons, channels, heads or inputs of a structured network.
struct Units {
  std::string name;  ///< unique, also among the layers
  Bits mask;         ///< 1 to 2^32 - 1 bits, true where the unit is kept
};

/// Numbers that cannot be drawn from the seed, such as the running mean of a normalisation.
struct Statistics {
  std::string name;                   ///< unique
  std::string format = "bfloat16";    ///< how the words are read: "bfloat16" or "float16"
  std::vector<std::uint16_t> values;  ///< bit patterns
};

/// A finished strong ticket. All names, formats, keys and values of properties are printable ASCII.
struct Ticket {
  std::uint64_t seed = 0;
  std::map<std::string, std::string> properties;  ///< network, activation, rescale, input.mean, input.std, ...
  std::vector<Layer> layers;
  std::vector<Units> units;
  std::vector<Statistics> statistics;
  Version version = format_version;  ///< of the file that it was read from; `encode` writes format_version
};

/// The gates that a file may have by the specification.
inline constexpr Index most_gates = Index{1} << 34;
/// The gates that `load` and `decode` accept unless told otherwise: a mask of no kept gates takes no bytes in the file
/// but one bit a gate in memory, here 128 MiB at most.
inline constexpr Index default_gate_limit = Index{1} << 30;

namespace detail {

inline constexpr std::array<std::uint8_t, 8> magic = {'T', 'O', 'M', 'B', 'O', 'L', 'A', 0x1A};
inline constexpr std::uint8_t generator = 1;   ///< Philox4x32-10 and the mappings of FrozenWeights
inline constexpr std::uint8_t mask_coder = 1;  ///< mask_coder.hpp
inline constexpr std::uint64_t most_file_bytes = std::uint64_t{1} << 32;

inline bool printable(std::string_view text) noexcept {
  for (const char c : text) {
    if (c < ' ' || c > '~') return false;
  }
  return true;
}
inline bool is_name(std::string_view text) noexcept { return !text.empty() && printable(text); }

/// What is wrong with the layers and units, or "".
inline std::string fault_of_masks(const Ticket& ticket) {
  if (ticket.layers.empty()) return "no layers";
  std::set<std::string> names;
  std::set<std::uint32_t> ids;
  Index left = most_gates;
  for (const Layer& layer : ticket.layers) {
    const FrozenWeights& weights = layer.weights;
    if (!is_name(layer.name)) return "a layer's name that is empty or not printable ASCII";
    const auto fault = [&](const char* what) { return concat("layer ", layer.name, ": ", what); };
    if (!names.insert(layer.name).second) return fault("a second layer of this name");
    if (!ids.insert(weights.id).second) return fault("a second layer with its stream id");
    if (weights.seed != ticket.seed) return fault("weights of another seed than the ticket's");
    if (static_cast<std::size_t>(weights.init) >= weight_init_names.size()) return fault("an unknown initialisation");
    if (!(weights.scale >= least_weight_scale && weights.scale <= greatest_weight_scale))
      return fault("a scale outside 2^-64 to 2^64");
    if (layer.shape.rank() == 0) return fault("a shape without extents");
    for (const Index extent : layer.shape) {
      if (extent < 1 || extent >= Index{1} << 32) return fault("an extent outside 1 to 2^32 - 1");
    }
    if (layer.mask.size() != layer.shape.size()) return fault("a mask of another size than the shape's");
    if (layer.mask.size() > left) return fault("more than 2^34 gates in all");
    left -= layer.mask.size();
  }
  for (const Units& units : ticket.units) {
    if (!is_name(units.name)) return "a name of units that is empty or not printable ASCII";
    const auto fault = [&](const char* what) { return concat("units ", units.name, ": ", what); };
    if (!names.insert(units.name).second) return fault("second units or a layer of this name");
    if (units.mask.size() < 1 || units.mask.size() >= Index{1} << 32) return fault("a number outside 1 to 2^32 - 1");
    if (units.mask.size() > left) return fault("more than 2^34 gates in all");
    left -= units.mask.size();
  }
  return {};
}

/// What keeps the ticket from being written, or "". The reader asks the same.
inline std::string fault_of(const Ticket& ticket) {
  if (ticket.properties.size() > 0xFFFF) return "more than 65535 properties";
  for (const auto& [key, value] : ticket.properties) {
    if (!is_name(key) || !printable(value)) return "a property that is not printable ASCII, or with an empty key";
    if (key.size() > 0xFFFF || value.size() > 0xFFFF) return "a property longer than 65535 bytes";
  }
  std::set<std::string> names;
  for (const Statistics& statistics : ticket.statistics) {
    if (!is_name(statistics.name)) return "a name of statistics that is empty or not printable ASCII";
    const auto fault = [&](const char* what) { return concat("statistics ", statistics.name, ": ", what); };
    if (!names.insert(statistics.name).second) return fault("second statistics of this name");
    if (statistics.format != "bfloat16" && statistics.format != "float16") return fault("an unknown format");
    if (statistics.values.size() > 0xFFFFFFFF) return fault("more than 2^32 - 1 values");
  }
  return fault_of_masks(ticket);
}

inline void write_mask(Writer& writer, const Bits& mask) {
  const Bytes code = encode_mask(mask);
  writer.little(static_cast<std::uint64_t>(mask.count()));
  writer.little(static_cast<std::uint64_t>(code.size()));
  writer.bytes(code);
}

inline Bits read_mask(Reader& reader, std::uint64_t size) {
  const auto kept = reader.little<std::uint64_t>();
  reader.check(kept <= size, concat("at most ", size, " kept gates"), kept);
  const auto bytes = reader.little<std::uint64_t>();
  const std::uint64_t begin = reader.offset();
  Reader code(reader.bytes(bytes), reader.name(), begin);
  return decode_mask(code, static_cast<Index>(size), static_cast<Index>(kept));
}

inline void write_layer(Writer& writer, const Layer& layer) {
  writer.string(layer.name);
  writer.little(static_cast<std::uint8_t>(layer.shape.rank()));
  for (const Index extent : layer.shape) writer.little(static_cast<std::uint32_t>(extent));
  writer.little(static_cast<std::uint8_t>(layer.weights.init));
  writer.little(layer.weights.id);
  writer.little(layer.weights.scale);
  writer.little(layer.weights_hash);
  write_mask(writer, layer.mask);
}

/// `left`: how many gates the layer may have.
inline Layer read_layer(Reader& reader, std::uint64_t seed, std::uint64_t left) {
  Layer layer;
  layer.name = reader.string();
  const auto rank = reader.little<std::uint8_t>();
  reader.check(rank >= 1 && rank <= Shape::max_rank, "a shape of 1 to 6 extents", static_cast<int>(rank));
  Index extents[Shape::max_rank];
  std::uint64_t size = 1;
  for (int axis = 0; axis < rank; ++axis) {
    const auto extent = reader.little<std::uint32_t>();
    reader.check(extent >= 1, "an extent of at least 1", extent);
    reader.check(extent <= left / size, concat("at most ", left, " more gates"), concat(size, " times ", extent));
    size *= extent;
    extents[axis] = extent;
  }
  layer.shape = Shape(extents, rank);
  const auto init = reader.little<std::uint8_t>();
  reader.check(init < weight_init_names.size(), "a known initialisation", static_cast<int>(init));
  const auto id = reader.little<std::uint32_t>();
  layer.weights = {seed, id, static_cast<WeightInit>(init), reader.little<float>()};
  layer.weights_hash = reader.little<std::uint64_t>();
  layer.mask = read_mask(reader, size);
  return layer;
}

/// `left`: how many gates they may have.
inline Units read_units(Reader& reader, std::uint64_t left) {
  std::string name = reader.string();
  const auto size = reader.little<std::uint32_t>();
  reader.check(size <= left, concat("at most ", left, " more gates"), size);
  return {std::move(name), read_mask(reader, size)};
}

inline Statistics read_statistics(Reader& reader) {
  Statistics statistics{reader.string(), reader.string(), {}};
  const std::uint64_t count = reader.little<std::uint32_t>();
  reader.check(count <= reader.remaining() / 2, concat(count, " values"), concat(reader.remaining(), " bytes"));
  statistics.values.resize(static_cast<std::size_t>(count));
  for (std::uint16_t& value : statistics.values) value = reader.little<std::uint16_t>();
  return statistics;
}

inline void read_properties(Reader& reader, std::map<std::string, std::string>& properties) {
  const auto count = reader.little<std::uint16_t>();
  for (unsigned i = 0; i < count; ++i) {
    std::string key = reader.string();
    const bool ascends = properties.empty() || key > properties.rbegin()->first;
    reader.check(ascends, "properties in ascending order of their keys", "another order");
    properties.emplace_hint(properties.end(), std::move(key), reader.string());
  }
}

/// The next number, which is the expected one.
template <class Number>
Number expect_number(Reader& reader, Number expected, const char* what) {
  const std::uint64_t at = reader.offset();
  const auto found = reader.little<Number>();
  if (found != expected) refuse_file(reader.name(), at, concat(what, ' ', int{expected}), int{found});
  return found;
}

/// Magic, version, length and checksum; leaves the reader behind the length.
inline Version check_envelope(Reader& reader, std::span<const std::uint8_t> bytes) {
  const auto found = reader.bytes(magic.size());
  if (!std::equal(magic.begin(), magic.end(), found.begin())) refuse_file(reader.name(), 0, "a Tombola ticket", "another kind of file");
  Version version;
  version.major = expect_number(reader, format_version.major, "format version");
  version.minor = reader.little<std::uint16_t>();
  version.patch = reader.little<std::uint16_t>();
  const auto size = reader.little<std::uint64_t>();
  reader.check(size == bytes.size() && reader.remaining() >= 8, concat("a file of ", size, " bytes"), bytes.size());
  const auto body = bytes.first(bytes.size() - 8);
  Reader tail(bytes.last(8), reader.name(), body.size());
  const auto stored = tail.little<std::uint64_t>();
  tail.check(crc64(body) == stored, "the checksum of an unaltered file", "another one");
  return version;
}

}  // namespace detail

/// The bytes of the ticket's file. Throws `std::invalid_argument`, saying what is wrong, unless the ticket is one that
/// `decode` accepts.
inline Bytes encode(const Ticket& ticket) {
  const std::string fault = detail::fault_of(ticket);
  require(fault.empty(), "ticket: ", fault);
  Writer body;
  body.little(detail::generator);
  body.little(detail::mask_coder);
  body.little(ticket.seed);
  body.little(static_cast<std::uint16_t>(ticket.properties.size()));
  for (const auto& [key, value] : ticket.properties) {
    body.string(key);
    body.string(value);
  }
  body.little(static_cast<std::uint32_t>(ticket.layers.size()));
  for (const Layer& layer : ticket.layers) detail::write_layer(body, layer);
  body.little(static_cast<std::uint32_t>(ticket.units.size()));
  for (const Units& units : ticket.units) {
    body.string(units.name);
    body.little(static_cast<std::uint32_t>(units.mask.size()));
    detail::write_mask(body, units.mask);
  }
  body.little(static_cast<std::uint32_t>(ticket.statistics.size()));
  for (const Statistics& statistics : ticket.statistics) {
    body.string(statistics.name);
    body.string(statistics.format);
    body.little(static_cast<std::uint32_t>(statistics.values.size()));
    for (const std::uint16_t value : statistics.values) body.little(value);
  }
  Writer file;
  file.bytes(detail::magic);
  file.little(format_version.major);
  file.little(format_version.minor);
  file.little(format_version.patch);
  file.little(std::uint64_t{file.size() + 8 + body.size() + 8});
  file.bytes(body.written());
  file.little(crc64(file.written()));
  return file.take();
}

/// The ticket that `encode` wrote. `name`: the path, for messages. `limit`: how many gates it may have in all, because
/// a hostile file of a few bytes can make the reader take limit / 8 bytes of memory.
/// Throws `std::runtime_error` "name: at byte offset: expected ..., got ..." for every other sequence of bytes.
/// The weights are not drawn: ask `regenerates` whether they are those of the search.
inline Ticket decode(std::span<const std::uint8_t> bytes, const std::string& name, Index limit = default_gate_limit) {
  require(limit >= 0 && limit <= most_gates, "ticket: expected a limit of 0 to 2^34 gates, got ", limit);
  Reader whole(bytes, name);
  Ticket ticket;
  ticket.version = detail::check_envelope(whole, bytes);
  const std::uint64_t begin = whole.offset();
  Reader reader(whole.bytes(whole.remaining() - 8), name, begin);
  detail::expect_number(reader, detail::generator, "generator");
  detail::expect_number(reader, detail::mask_coder, "mask coder");
  ticket.seed = reader.little<std::uint64_t>();
  detail::read_properties(reader, ticket.properties);
  auto left = static_cast<std::uint64_t>(limit);
  for (auto count = reader.little<std::uint32_t>(); count > 0; --count) {
    ticket.layers.push_back(detail::read_layer(reader, ticket.seed, left));
    left -= static_cast<std::uint64_t>(ticket.layers.back().mask.size());
  }
  for (auto count = reader.little<std::uint32_t>(); count > 0; --count) {
    ticket.units.push_back(detail::read_units(reader, left));
    left -= static_cast<std::uint64_t>(ticket.units.back().mask.size());
  }
  for (auto count = reader.little<std::uint32_t>(); count > 0; --count) {
    ticket.statistics.push_back(detail::read_statistics(reader));
  }
  reader.expect_end();
  const std::string fault = detail::fault_of(ticket);
  reader.check(fault.empty(), "a consistent ticket", fault);
  return ticket;
}

/// Writes the ticket, atomically. Throws `std::runtime_error` if the file cannot be written, `std::invalid_argument` as
/// `encode` does.
inline void save(const Ticket& ticket, const std::string& path) { write_file(path, encode(ticket)); }

/// Reads a ticket. Throws `std::runtime_error` if there is no intact ticket of at most `limit` gates.
inline Ticket load(const std::string& path, Index limit = default_gate_limit) {
  return decode(read_file(path, detail::most_file_bytes), path, limit);
}

/// Whether the seed still gives the weights that the mask was searched for: hash of the drawn weights = weights_hash.
inline bool regenerates(const Layer& layer) {
  return hash_weights(layer.weights, layer.shape.size()) == layer.weights_hash;
}

/// size H(kept / size) / 8 bytes, the least that a memoryless coder needs; H in bits, 0 for none or all kept.
inline double entropy_bytes(const Bits& mask) {
  const auto n = static_cast<double>(mask.size()), kept = static_cast<double>(mask.count());
  if (kept == 0 || kept == n) return 0;
  return (kept * std::log2(n / kept) + (n - kept) * std::log2(n / (n - kept))) / 8;
}

/// The sum over all masks.
inline double entropy_bytes(const Ticket& ticket) {
  double sum = 0;
  for (const Layer& layer : ticket.layers) sum += entropy_bytes(layer.mask);
  for (const Units& units : ticket.units) sum += entropy_bytes(units.mask);
  return sum;
}

}  // namespace tombola::inline TOMBOLA_ISA::ticket
