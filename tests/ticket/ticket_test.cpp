#include "tombola/ticket/ticket.hpp"

#include <doctest/doctest.h>

#include <cstdlib>
#include <functional>
#include <sstream>

#include "support/temporary_folder.hpp"

using namespace tombola;
using ticket::Ticket;

namespace {

Bits random_mask(Index size, double share, std::uint32_t id) {
  Bits mask(size);
  Sequence words(Stream{11, Purpose::control, id, 0});
  for (Index i = 0; i < size; ++i) mask.set(i, words.next() < share * 0x1p32);
  return mask;
}

ticket::Layer layer_of(const std::string& name, const Shape& shape, const FrozenWeights& weights, Bits mask) {
  return {name, shape, weights, std::move(mask), hash_weights(weights, shape.size())};
}

/// The worked example of docs/ticket-format.md.
Ticket example() {
  Ticket example;
  example.seed = 42;
  example.properties = {{"activation", "relu"}, {"network", "example"}};
  Bits mask(20);
  for (const Index kept : {0, 3, 7, 8, 14, 19}) mask.set(kept, true);
  const FrozenWeights weights{42, 1, WeightInit::kaiming_normal, default_scale(WeightInit::kaiming_normal, 5, 4)};
  example.layers.push_back(layer_of("fc.weight", {4, 5}, weights, mask));
  example.statistics.push_back({"norm.mean", "bfloat16", {0x3F80, 0xBF00}});
  return example;
}

/// Every initialisation, one and eight coder states, constant masks.
Ticket varied() {
  Ticket varied;
  varied.seed = 0xFEDCBA9876543210;
  varied.properties = {{"input.mean", "0.1307"}, {"note", ""}, {"quote", "a \"b\" \\ c"}};
  const auto add = [&](const std::string& name, const Shape& shape, std::uint32_t id, int init, Bits mask) {
    const auto kind = static_cast<WeightInit>(init);
    varied.layers.push_back(
        layer_of(name, shape, {varied.seed, id, kind, default_scale(kind, shape.last(), shape[0])}, std::move(mask)));
  };
  add("conv.weight", {8, 3, 3, 3}, 9, 0, random_mask(216, 0.3, 1));
  add("fc1.weight", {300, 257}, 0, 1, random_mask(300 * 257, 0.02, 2));
  add("fc2.weight", {10, 300}, 4000000000, 2, random_mask(3000, 0.5, 3));
  add("all.weight", {70}, 2, 3, random_mask(70, 1.0, 4));
  add("none.weight", {2, 1, 1, 5, 1, 3}, 3, 2, random_mask(30, 0.0, 5));
  varied.units.push_back({"units0", random_mask(300, 0.2, 6)});
  varied.units.push_back({"inputs", random_mask(257, 1.0, 7)});
  varied.statistics.push_back({"norm1.mean", "bfloat16", std::vector<std::uint16_t>(17, 0x3F81)});
  varied.statistics.push_back({"norm1.variance", "float16", {}});
  return varied;
}

void check_equal(const Ticket& a, const Ticket& b) {
  CHECK(a.seed == b.seed);
  CHECK(a.properties == b.properties);
  REQUIRE(a.layers.size() == b.layers.size());
  for (std::size_t i = 0; i < a.layers.size(); ++i) {
    CHECK(a.layers[i].name == b.layers[i].name);
    CHECK(a.layers[i].shape == b.layers[i].shape);
    CHECK(a.layers[i].weights == b.layers[i].weights);
    CHECK(a.layers[i].mask == b.layers[i].mask);
    CHECK(a.layers[i].weights_hash == b.layers[i].weights_hash);
  }
  REQUIRE(a.units.size() == b.units.size());
  for (std::size_t i = 0; i < a.units.size(); ++i) {
    CHECK(a.units[i].name == b.units[i].name);
    CHECK(a.units[i].mask == b.units[i].mask);
  }
  REQUIRE(a.statistics.size() == b.statistics.size());
  for (std::size_t i = 0; i < a.statistics.size(); ++i) {
    CHECK(a.statistics[i].name == b.statistics[i].name);
    CHECK(a.statistics[i].format == b.statistics[i].format);
    CHECK(a.statistics[i].values == b.statistics[i].values);
  }
}

/// The same bytes with the right size and checksum, as somebody writes them who wants to be believed.
Bytes sealed(Bytes bytes) {
  for (int k = 0; k < 8; ++k)
    bytes[static_cast<std::size_t>(14 + k)] = static_cast<std::uint8_t>(bytes.size() >> (8 * k));
  const std::uint64_t crc = crc64(std::span(bytes).first(bytes.size() - 8));
  for (std::size_t k = 0; k < 8; ++k) bytes[bytes.size() - 8 + k] = static_cast<std::uint8_t>(crc >> (8 * k));
  return bytes;
}

std::string refusal(const Bytes& bytes, Index limit = ticket::default_gate_limit) {
  try {
    ticket::decode(bytes, "t", limit);
  } catch (const std::runtime_error& error) {
    return error.what();
  }
  return "accepted";
}

bool refuses(const Bytes& bytes, const char* why) {
  const std::string message = refusal(bytes);
  INFO(message);
  const bool found = message.find(why) != std::string::npos;
  CHECK(found);
  return found;
}

/// A file built field by field, so that any of them can be wrong.
struct Fields {
  std::string magic = "TOMBOLA\x1A";
  std::uint16_t major = 1, minor = 0;
  std::uint8_t generator = 1, coder = 1;
  std::vector<std::pair<std::string, std::string>> properties = {{"a", "b"}};
  struct Layer {
    std::string name = "w";
    std::vector<std::uint32_t> extents = {2, 3};
    std::uint8_t init = 0;
    std::uint32_t id = 1;
    float scale = 0.5f;
    std::uint64_t kept = 0, mask_bytes = 0;
    Bytes mask = {};
  };
  std::vector<Layer> layers = {Layer{}};
  std::uint32_t claimed_layers = 1;
  struct Units {
    std::string name = "u";
    std::uint32_t size = 5;
    std::uint64_t kept = 5;
  };
  std::vector<Units> units = {Units{}};
  std::vector<std::string> statistics = {"s"};
  std::string format = "bfloat16";
  std::uint32_t values = 0, claimed_values = 0;
  Bytes more = {};

  Bytes bytes() const {
    Writer w;
    for (const char c : magic) w.little(static_cast<std::uint8_t>(c));
    w.little(major);
    w.little(minor);
    w.little(std::uint16_t{0});
    w.little(std::uint64_t{0});
    w.little(generator);
    w.little(coder);
    w.little(std::uint64_t{42});
    w.little(static_cast<std::uint16_t>(properties.size()));
    for (const auto& [key, value] : properties) {
      w.string(key);
      w.string(value);
    }
    w.little(claimed_layers);
    for (const Layer& layer : layers) {
      w.string(layer.name);
      w.little(static_cast<std::uint8_t>(layer.extents.size()));
      for (const std::uint32_t extent : layer.extents) w.little(extent);
      w.little(layer.init);
      w.little(layer.id);
      w.little(layer.scale);
      w.little(std::uint64_t{0});
      w.little(layer.kept);
      w.little(layer.mask_bytes);
      w.bytes(layer.mask);
    }
    w.little(static_cast<std::uint32_t>(units.size()));
    for (const Units& u : units) {
      w.string(u.name);
      w.little(u.size);
      w.little(u.kept);
      w.little(std::uint64_t{0});
    }
    w.little(static_cast<std::uint32_t>(statistics.size()));
    for (const std::string& name : statistics) {
      w.string(name);
      w.string(format);
      w.little(claimed_values);
      for (std::uint32_t i = 0; i < values; ++i) w.little(std::uint16_t{7});
    }
    w.bytes(more);
    w.little(std::uint64_t{0});
    return sealed(w.take());
  }
};

bool refuses_fields(const std::function<void(Fields&)>& change, const char* why) {
  Fields fields;
  change(fields);
  return refuses(fields.bytes(), why);
}
bool refuses_layer(const std::function<void(Fields::Layer&)>& change, const char* why) {
  return refuses_fields([&](Fields& fields) { change(fields.layers[0]); }, why);
}

/// What tests/ticket/independent_reader.py prints for the same file.
std::string json_of(const Ticket& ticket) {
  std::ostringstream out;
  const auto quoted = [](const std::string& text) {
    std::string quoted = "\"";
    for (const char c : text) quoted.append(c == '"' || c == '\\' ? "\\" : "").push_back(c);
    quoted.push_back('"');
    return quoted;
  };
  const auto hex = [](std::uint64_t value, int digits) {
    std::string text;
    for (int i = digits - 1; i >= 0; --i) text += "0123456789abcdef"[value >> (4 * i) & 15];
    return text;
  };
  const auto mask_hex = [&](const Bits& mask) {
    std::string text;
    for (Index i = 0; i < (mask.size() + 7) / 8; ++i) text += hex(mask.words()[i / 8] >> (8 * (i % 8)) & 0xFF, 2);
    return text;
  };
  const char* comma = "";
  out << "{\"version\": [1, 0, 0], \"seed\": \"" << hex(ticket.seed, 16) << "\", \"properties\": {";
  for (const auto& [key, value] : ticket.properties) {
    out << comma << quoted(key) << ": " << quoted(value);
    comma = ", ";
  }
  out << "}, \"layers\": [";
  comma = "";
  for (const auto& layer : ticket.layers) {
    const Index size = layer.shape.size();
    out << comma << "{\"name\": " << quoted(layer.name) << ", \"shape\": " << layer.shape
        << ", \"init\": " << static_cast<int>(layer.weights.init) << ", \"id\": " << layer.weights.id
        << ", \"scale\": \"" << hex(std::bit_cast<std::uint32_t>(layer.weights.scale), 8)
        << "\", \"kept\": " << layer.mask.count() << ", \"hash\": \"" << hex(layer.weights_hash, 16)
        << "\", \"drawn_hash\": \"" << hex(hash_weights(layer.weights, size), 16) << "\", \"mask\": \"";
    out << mask_hex(layer.mask);
    std::vector<float> first(static_cast<std::size_t>(std::min<Index>(size, 8)));
    draw(layer.weights, 0, View<float>(first.data(), {static_cast<Index>(first.size())}));
    out << "\", \"first\": [";
    for (std::size_t i = 0; i < first.size(); ++i) {
      out << (i == 0 ? "\"" : ", \"") << hex(std::bit_cast<std::uint32_t>(first[i]), 8) << '"';
    }
    out << "]}";
    comma = ", ";
  }
  out << "], \"units\": [";
  comma = "";
  for (const auto& units : ticket.units) {
    out << comma << "{\"name\": " << quoted(units.name) << ", \"size\": " << units.mask.size()
        << ", \"kept\": " << units.mask.count() << ", \"mask\": \"" << mask_hex(units.mask) << "\"}";
    comma = ", ";
  }
  out << "], \"statistics\": [";
  comma = "";
  for (const auto& statistics : ticket.statistics) {
    out << comma << "{\"name\": " << quoted(statistics.name) << ", \"format\": " << quoted(statistics.format)
        << ", \"values\": [";
    for (std::size_t i = 0; i < statistics.values.size(); ++i) out << (i == 0 ? "" : ", ") << statistics.values[i];
    out << "]}";
    comma = ", ";
  }
  out << "]}\n";
  return out.str();
}

}  // namespace

TEST_CASE("ticket: the worked example of the specification") {
  std::string hex;
  for (const std::uint8_t byte : ticket::encode(example())) {
    for (const int digit : {byte >> 4, byte & 15}) hex += "0123456789abcdef"[digit];
  }
  CHECK(hex == "544f4d424f4c411a010000000000b20000000000000001012a0000000000000002000a0061637469766174696f6e04007265"
               "6c7507006e6574776f726b07006578616d706c6501000000090066632e77656967687402040000000500000002010000009b"
               "e8213f591830f9c7564c1206000000000000000600000000000000b106030053f9000000000100000009006e6f726d2e6d65"
               "616e080062666c6f6174313602000000803f00bf7bee042b47fcd321");
}

TEST_CASE("ticket: round trips") {
  for (const Ticket& ticket : {example(), varied()}) {
    const Bytes bytes = ticket::encode(ticket);
    const Ticket again = ticket::decode(bytes, "t");
    check_equal(again, ticket);
    CHECK(again.version == ticket::format_version);
    CHECK(ticket::encode(again) == bytes);
    for (const ticket::Layer& layer : again.layers) CHECK(ticket::regenerates(layer));
  }
}

TEST_CASE("ticket: save and load; messages name the file") {
  const test_support::TemporaryFolder folder;
  const std::string path = folder / "a.tombola";
  ticket::save(example(), path);
  CHECK(folder.entries() == 1);
  check_equal(ticket::load(path), example());
  ticket::save(varied(), path);
  check_equal(ticket::load(path), varied());
  Bytes bytes = read_file(path);
  bytes.back() ^= 1;
  write_file(path, bytes);
  CHECK_THROWS_WITH_AS(ticket::load(path),
                       (path + ": at byte " + std::to_string(bytes.size()) +
                        ": expected the checksum of an unaltered file, got another one")
                           .c_str(),
                       std::runtime_error);
  const std::string missing = folder / "missing", nowhere = folder / "no/folder";
  CHECK_THROWS_WITH_AS(ticket::load(missing), (missing + ": cannot open for reading: No such file or directory").c_str(), std::runtime_error);
  CHECK_THROWS_WITH_AS(ticket::load(folder.path()), (folder.path() + ": at byte 0: expected a regular file, got something else").c_str(),
                       std::runtime_error);
  CHECK_THROWS_WITH_AS(ticket::save(example(), nowhere), (nowhere + ": cannot write: No such file or directory").c_str(), std::runtime_error);
}

TEST_CASE("ticket: a weight that the seed no longer gives is noticed") {
  ticket::Layer layer = varied().layers[2];
  CHECK(ticket::regenerates(layer));
  layer.weights_hash ^= 1;
  CHECK_FALSE(ticket::regenerates(layer));
  layer.weights_hash ^= 1;
  layer.weights.scale = std::nextafter(layer.weights.scale, 1.0f);
  CHECK_FALSE(ticket::regenerates(layer));
}

TEST_CASE("ticket: every truncation, extension and single-byte alteration is refused") {
  const Bytes bytes = ticket::encode(example());
  for (std::size_t size = 0; size < bytes.size(); ++size) {
    CHECK(refusal(Bytes(bytes.begin(), bytes.begin() + static_cast<std::ptrdiff_t>(size))) != "accepted");
  }
  Bytes longer = bytes;
  for (int i = 0; i < 20; ++i) {
    longer.push_back(0);
    CHECK(refusal(longer) != "accepted");
  }
  Index accepted = 0;
  for (std::size_t at = 0; at < bytes.size(); ++at) {
    for (int change = 1; change < 256; ++change) {
      Bytes altered = bytes;
      altered[at] = static_cast<std::uint8_t>(altered[at] ^ change);
      accepted += refusal(altered) == "accepted";
    }
  }
  CHECK(accepted == 0);
}

TEST_CASE(
    "ticket: altered bytes under a valid checksum are refused, or are exactly what the ticket they give encodes to") {
  const Bytes bytes = ticket::encode(example());
  Index different = 0;
  for (std::size_t at = 0; at + 8 < bytes.size(); ++at) {
    if (at >= 10 && at < 22) continue;  // minor and patch version are free; the size is put right
    for (int change = 1; change < 256; ++change) {
      Bytes altered = bytes;
      altered[at] = static_cast<std::uint8_t>(altered[at] ^ change);
      altered = sealed(altered);
      try {
        different += ticket::encode(ticket::decode(altered, "t")) != altered;
      } catch (const std::runtime_error&) {
      }
    }
  }
  CHECK(different == 0);
  for (std::size_t size = 30; size < bytes.size(); ++size) {
    CHECK(refusal(sealed(Bytes(bytes.begin(), bytes.begin() + static_cast<std::ptrdiff_t>(size)))) != "accepted");
  }
}

TEST_CASE("ticket: versions") {
  CHECK(refusal(Fields().bytes()) == "accepted");
  CHECK(refuses_fields([](Fields& f) { f.major = 2; }, "expected format version 1, got 2"));
  CHECK(refuses_fields([](Fields& f) { f.major = 0; }, "expected format version 1, got 0"));
  Fields newer;
  newer.minor = 7;
  CHECK(ticket::decode(newer.bytes(), "t").version == ticket::Version{1, 7, 0});
  CHECK(refuses_fields([](Fields& f) { f.magic[7] = 0x1B; }, "at byte 0: expected a Tombola ticket"));
  CHECK(refuses_fields([](Fields& f) { f.generator = 2; }, "expected generator 1, got 2"));
  CHECK(refuses_fields([](Fields& f) { f.coder = 0; }, "expected mask coder 1, got 0"));
}

TEST_CASE("ticket: hostile layers") {
  CHECK(refuses_layer([](auto& l) { l.extents = {0xFFFFFFFF, 0xFFFFFFFF}; }, "expected at most 1073741824 more gates"));
  CHECK(refuses_layer([](auto& l) { l.extents = {1u << 31}; }, "expected at most 1073741824 more gates"));
  CHECK(refuses_layer([](auto& l) { l.extents.assign(6, 0xFFFFFFFF); }, "more gates, got 1 times 4294967295"));
  CHECK(refuses_layer([](auto& l) { l.extents = {3, 0}; }, "expected an extent of at least 1, got 0"));
  CHECK(refuses_layer([](auto& l) { l.extents = {0, 0xFFFFFFFF, 0xFFFFFFFF, 0xFFFFFFFF}; }, "an extent of at least 1"));
  CHECK(refuses_layer([](auto& l) { l.extents = {}; }, "expected a shape of 1 to 6 extents, got 0"));
  CHECK(refuses_layer([](auto& l) { l.extents.assign(7, 1); }, "expected a shape of 1 to 6 extents, got 7"));
  CHECK(refuses_layer([](auto& l) { l.extents.assign(255, 1); }, "expected a shape of 1 to 6 extents, got 255"));
  CHECK(refuses_layer([](auto& l) { l.init = 4; }, "expected a known initialisation, got 4"));
  CHECK(refuses_layer([](auto& l) { l.kept = 7; }, "expected at most 6 kept gates, got 7"));
  CHECK(refuses_layer([](auto& l) { l.kept = ~std::uint64_t{0}; }, "expected at most 6 kept gates"));
  CHECK(refuses_layer([](auto& l) { l.kept = 3; }, "expected 4 more bytes, got 0"));
  CHECK(refuses_layer([](auto& l) { l.mask_bytes = ~std::uint64_t{0}; }, "more bytes"));
  CHECK(refuses_layer(
      [](auto& l) {
        l.mask_bytes = 1;
        l.mask = {0};
      },
      "expected the end, got 1 more bytes"));
  CHECK(refuses_layer(
      [](auto& l) {
        l.kept = 3;
        l.mask_bytes = 4;
        l.mask = {1, 0, 0, 1};
      },
      "a final coder state"));
  CHECK(refuses_layer([](auto& l) { l.name = ""; }, "a layer's name that is empty"));
  CHECK(refuses_layer([](auto& l) { l.name = "w\x1B[2J"; }, "not printable ASCII"));
  CHECK(refuses_layer([](auto& l) { l.name = "w\xC3\xA4"; }, "not printable ASCII"));
  for (const float scale : {0.0f, -0.5f, 0x1p-65f, 0x1p65f, std::numeric_limits<float>::infinity(),
                            std::numeric_limits<float>::quiet_NaN()}) {
    CHECK(refuses_layer([&](auto& l) { l.scale = scale; }, "layer w: a scale outside"));
  }
  const auto two = [](Fields& f) {
    f.layers.push_back(f.layers[0]);
    f.claimed_layers = 2;
  };
  CHECK(refuses_fields(
      [&](Fields& f) {
        two(f);
        f.layers[1].id = 2;
      },
      "a second layer of this name"));
  CHECK(refuses_fields(
      [&](Fields& f) {
        two(f);
        f.layers[1].name = "v";
      },
      "a second layer with its stream id"));
  CHECK(refuses_fields(
      [](Fields& f) {
        f.claimed_layers = 0;
        f.layers = {};
      },
      "no layers"));
  CHECK(refuses_fields([](Fields& f) { f.claimed_layers = 0xFFFFFFFF; }, "expected a shape of 1 to 6 extents, got 0"));
  CHECK(refuses_fields([](Fields& f) { f.claimed_layers = 0; }, "expected at most 3 kept gates, got 256"));
}

TEST_CASE("ticket: hostile units") {
  CHECK(refuses_fields(
      [](Fields& f) {
        f.units[0].size = 0;
        f.units[0].kept = 0;
      },
      "a number outside 1 to 2^32 - 1"));
  CHECK(refuses_fields([](Fields& f) { f.units[0].size = 0xFFFFFFFF; }, "expected at most 1073741818 more gates"));
  CHECK(refuses_fields([](Fields& f) { f.units[0].kept = 6; }, "expected at most 5 kept gates, got 6"));
  CHECK(refuses_fields([](Fields& f) { f.units[0].kept = 1; }, "expected 4 more bytes, got 0"));
  CHECK(refuses_fields([](Fields& f) { f.units[0].name = ""; }, "a name of units that is empty"));
  CHECK(refuses_fields([](Fields& f) { f.units[0].name = "w"; }, "second units or a layer of this name"));
  CHECK(refuses_fields([](Fields& f) { f.units.push_back(f.units[0]); }, "second units or a layer of this name"));
}

TEST_CASE("ticket: hostile properties, statistics and ends") {
  using Pairs = std::vector<std::pair<std::string, std::string>>;
  const char* order = "expected properties in ascending order of their keys";
  CHECK(refuses_fields([](Fields& f) { f.properties = Pairs{{"b", ""}, {"a", ""}}; }, order));
  CHECK(refuses_fields([](Fields& f) { f.properties = Pairs{{"a", ""}, {"a", ""}}; }, order));
  CHECK(refuses_fields([](Fields& f) { f.properties = Pairs{{"", "b"}}; }, "a property that is not printable ASCII"));
  CHECK(refuses_fields([](Fields& f) { f.properties = Pairs{{"a", "\n"}}; }, "a property that is not printable ASCII"));
  CHECK(refuses_fields([](Fields& f) { f.statistics = {"s", "s"}; }, "second statistics of this name"));
  CHECK(refuses_fields([](Fields& f) { f.statistics = {""}; }, "a name of statistics that is empty"));
  CHECK(refuses_fields([](Fields& f) { f.format = "float32"; }, "an unknown format"));
  CHECK(refuses_fields([](Fields& f) { f.claimed_values = 0xFFFFFFFF; }, "expected 4294967295 values, got 0 bytes"));
  CHECK(refuses_fields(
      [](Fields& f) {
        f.claimed_values = 1;
        f.more = {1};
      },
      "expected 1 values, got 1 bytes"));
  CHECK(refuses_fields([](Fields& f) { f.values = 1; }, "expected the end, got 2 more bytes"));
  CHECK(refuses_fields([](Fields& f) { f.more = {0}; }, "expected the end, got 1 more bytes"));
}

TEST_CASE("ticket: the limit of gates holds over all layers, before memory is taken") {
  Fields many;
  many.layers[0].extents = {1u << 20};
  for (std::uint32_t i = 2; i <= 3; ++i) {
    many.layers.push_back(many.layers[0]);
    many.layers.back().name += std::to_string(i);
    many.layers.back().id = i;
  }
  many.claimed_layers = 3;
  many.units.clear();
  CHECK(refusal(many.bytes(), 3 << 20) == "accepted");
  CHECK(refusal(many.bytes(), (3 << 20) - 1).find("expected at most 1048575 more gates, got 1 times 1048576") !=
        std::string::npos);
  CHECK(refusal(many.bytes(), 0) != "accepted");
  CHECK_THROWS_WITH_AS(ticket::decode(many.bytes(), "t", -1), "ticket: expected a limit of 0 to 2^34 gates, got -1", std::invalid_argument);
  CHECK_THROWS_WITH_AS(ticket::decode(many.bytes(), "t", ticket::most_gates + 1), "ticket: expected a limit of 0 to 2^34 gates, got 17179869185",
                       std::invalid_argument);
}

TEST_CASE("ticket: what may not be written is refused with its reason") {
  const auto refused = [](const std::function<void(Ticket&)>& change, const std::string& why) {
    Ticket changed = example();
    change(changed);
    CHECK_THROWS_WITH_AS(ticket::encode(changed), ("ticket: " + why).c_str(), std::invalid_argument);
  };
  refused([](Ticket& t) { t.layers.clear(); }, "no layers");
  refused([](Ticket& t) { t.layers.push_back(t.layers[0]); }, "layer fc.weight: a second layer of this name");
  refused([](Ticket& t) { t.seed = 43; }, "layer fc.weight: weights of another seed than the ticket's");
  refused([](Ticket& t) { t.layers[0].mask = Bits(19); }, "layer fc.weight: a mask of another size than the shape's");
  refused([](Ticket& t) { t.layers[0].shape = Shape(); }, "layer fc.weight: a shape without extents");
  refused([](Ticket& t) { t.layers[0].shape = {4, 0}; }, "layer fc.weight: an extent outside 1 to 2^32 - 1");
  refused([](Ticket& t) { t.layers[0].weights.scale = 0; }, "layer fc.weight: a scale outside 2^-64 to 2^64");
  refused([](Ticket& t) { t.layers[0].weights.init = static_cast<WeightInit>(4); },
          "layer fc.weight: an unknown initialisation");
  refused([](Ticket& t) { t.units.push_back({"none", Bits()}); }, "units none: a number outside 1 to 2^32 - 1");
  refused([](Ticket& t) { t.properties["a"] = std::string(65536, 'x'); }, "a property longer than 65535 bytes");
  refused([](Ticket& t) { t.statistics[0].format = ""; }, "statistics norm.mean: an unknown format");
}

TEST_CASE("ticket: size of LeNet-300-100's ticket against the entropy of its masks") {
  for (const double share : {0.5, 0.1, 0.05, 0.015, 0.001}) {
    Ticket lenet;
    lenet.seed = 1;
    lenet.properties = {{"activation", "leaky_relu"},
                        {"input.mean", "0.1307"},
                        {"input.std", "0.3081"},
                        {"network", "784-300-100-10"},
                        {"rescale", "layer"}};
    std::uint32_t id = 0;
    for (const Shape& shape : {Shape{300, 784}, Shape{100, 300}, Shape{10, 100}}) {
      lenet.layers.push_back({"fc" + std::to_string(id) + ".weight",
                              shape,
                              {1, id, WeightInit::signed_constant, 0.05f},
                              random_mask(shape.size(), share, id),
                              0});
      ++id;
    }
    const double bound = 1.05 * ticket::entropy_bytes(lenet) + 512;
    const auto bytes = static_cast<double>(ticket::encode(lenet).size());
    MESSAGE("share ", share, ": ", bytes, " bytes, entropy ", ticket::entropy_bytes(lenet));
    CHECK(bytes <= bound);
    CHECK(bytes <= ticket::entropy_bytes(lenet) * 1.005 + 350);
  }
}

TEST_CASE("ticket: entropy") {
  CHECK(ticket::entropy_bytes(random_mask(80, 0.0, 1)) == 0);
  CHECK(ticket::entropy_bytes(random_mask(80, 1.0, 1)) == 0);
  CHECK(ticket::entropy_bytes(Bits()) == 0);
  Bits half(80);
  for (Index i = 0; i < 40; ++i) half.set(i, true);
  CHECK(ticket::entropy_bytes(half) == doctest::Approx(10));
}

// tests/ticket/test_independent_reader.py runs this test with a folder to write into.
TEST_CASE("ticket: samples for the independent reader") {
  if (const char* folder = std::getenv("TOMBOLA_TEST_SAMPLES")) {
    for (const auto& [name, ticket] : {std::pair{"example", example()}, std::pair{"varied", varied()}}) {
      const std::string path = std::string(folder) + "/" + name + ".tombola";
      ticket::save(ticket, path);
      write_file(path + ".json", json_of(ticket));
    }
  }
}
