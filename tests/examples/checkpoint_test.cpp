#include "support/checkpoint.hpp"

#include <doctest/doctest.h>

#include <cmath>
#include <limits>

#include "support/temporary_folder.hpp"
#include "tombola/models/lenet.hpp"
#include "tombola/nn/named_weights.hpp"

using namespace examples;
using namespace tombola;
using test_support::TemporaryFolder;

namespace {

using Model = models::LeNet<nn::Gated>;

const std::string config = R"({"network":"lenet","seed":1,"epochs":2})";
const std::size_t after_config = checkpoint_magic.size() + 4 + config.size();  // its length stands before it
const std::size_t count_of_rows = after_config + 8 * 8 + 1, after_count = count_of_rows + 8;

Model small_model(std::uint64_t seed, Index hidden = 3) {
  return {nn::Init{.seed = seed, .gates = {.start_deviation = 0.5}}, {.inputs = 2, .hidden = {hidden}, .outputs = 2}};
}

SearchState some_state() {
  constexpr double unmeasured = std::numeric_limits<double>::quiet_NaN();
  return {.step = 7,
          .optimiser_steps = 6,
          .correct = 5,
          .seen = 8,
          .loss_sum = 1.25,
          .lambda = 0.5,
          .controller = {.integral = -0.75, .start_logit = 2.5, .started = true},
          .history = {{1, 4, 0.05, 0.1, 2.0, 0.25, unmeasured, unmeasured, 0.5, 0.375}, {2, 7, 0.01, 0.5, 1.5, 0.5, 0.625, 0.75, 0.875, 0.125}}};
}

Bytes state_of(Model& model) {
  Writer writer;
  nn::write_state(writer, model);
  return writer.take();
}

/// A checkpoint in the folder, and its bytes.
Bytes saved(const TemporaryFolder& folder) {
  Model model = small_model(1);
  save_checkpoint(folder / "checkpoint.bin", config, some_state(), model);
  return read_file(folder / "checkpoint.bin");
}

/// With the checksum that these bytes should have.
Bytes sealed(const Bytes& body) {
  Writer writer;
  writer.bytes(body);
  writer.little(crc64(body));
  return writer.take();
}
Bytes body_of(const Bytes& bytes) { return {bytes.begin(), bytes.end() - 8}; }

/// What is said of the checkpoint at `path`, without the path.
std::string refusal(const std::string& path, Model& model, const std::string& asked = config) {
  try {
    load_checkpoint(path, asked, model);
  } catch (const std::runtime_error& error) {
    const std::string message = error.what();
    CHECK(message.starts_with(path + ": at byte "));
    CHECK(message.find('\n') == std::string::npos);
    return message.substr(std::min(message.size(), path.size() + 2));
  }
  return "nothing was thrown";
}

const std::string altered = ": expected the checksum of an unaltered file, got another one";
const std::string another_kind = "at byte 0: expected a checkpoint, got another kind of file";

}  // namespace

TEST_CASE("checkpoint: the state of a search and of its model come back, bit for bit") {
  const TemporaryFolder folder;
  const Bytes bytes = saved(folder);
  Model model = small_model(1), other = small_model(2);
  REQUIRE(state_of(other) != state_of(model));
  const SearchState state = load_checkpoint(folder / "checkpoint.bin", config, other);
  CHECK(state_of(other) == state_of(model));
  CHECK(state.step == 7);
  CHECK(state.controller.started);
  REQUIRE(state.history.size() == 2);
  CHECK(std::isnan(state.history[0].validation_binary));
  CHECK(state.history[1].fractional == 0.125);
  save_checkpoint(folder / "again.bin", config, state, other);  // so nothing is lost, and nothing in the place of something else
  CHECK(read_file(folder / "again.bin") == bytes);
}

TEST_CASE("checkpoint: a configuration of any length") {
  const TemporaryFolder folder;
  const std::string path = folder / "checkpoint.bin", wide = R"({"hidden":[)" + std::string(70'000, '1') + "]}";
  Model model = small_model(1);
  save_checkpoint(path, wide, some_state(), model);
  CHECK(load_checkpoint(path, wide, model).step == some_state().step);
}

TEST_CASE("checkpoint: every truncation is refused, and changes nothing") {
  const TemporaryFolder folder;
  const Bytes bytes = saved(folder);
  Model model = small_model(2);
  const Bytes before = state_of(model);
  for (std::size_t size = 0; size < bytes.size(); ++size) {
    const std::string path = folder.write("part.bin", std::span(bytes).first(size));
    const std::size_t begins = size < 8 ? 0 : 8;  // where eight bytes are missed: of the kind, or of the checksum
    CHECK(refusal(path, model) == (size < 16 ? concat("at byte ", begins, ": expected 8 more bytes, got ", size - begins, " (the file is truncated)")
                                             : concat("at byte ", size, altered)));
  }
  CHECK(state_of(model) == before);
}

TEST_CASE("checkpoint: every altered byte, and every byte more, is refused, and changes nothing") {
  const TemporaryFolder folder;
  const Bytes bytes = saved(folder);
  Model model = small_model(2);
  const Bytes before = state_of(model);
  for (std::size_t at = 0; at < bytes.size(); ++at) {
    for (const int change : {0x01, 0x80, 0xFF}) {
      Bytes flipped = bytes;
      flipped[at] = static_cast<std::uint8_t>(flipped[at] ^ change);
      CHECK(refusal(folder.write("altered.bin", flipped), model) == (at < 8 ? another_kind : concat("at byte ", bytes.size(), altered)));
    }
  }
  Bytes longer = bytes;
  for (int more = 0; more < 9; ++more) {
    longer.push_back(0);
    CHECK(refusal(folder.write("altered.bin", longer), model) == concat("at byte ", longer.size(), altered));
  }
  CHECK(state_of(model) == before);
}

TEST_CASE("checkpoint: a file of another kind or version, of another configuration or model") {
  const TemporaryFolder folder;
  Bytes newer = body_of(saved(folder));
  const std::string path = folder / "checkpoint.bin";
  Model model = small_model(1);
  const auto refuses_configuration = [&](const std::string& asked, const std::string& expected, const std::string& got) {
    CHECK(refusal(path, model, asked) == concat("at byte ", after_config, ": expected a checkpoint of the configuration ", expected, ", got ", got));
  };
  refuses_configuration(R"({"network":"lenet","seed":2,"epochs":2})", R"("seed":2)", R"("seed":1)");
  refuses_configuration(R"({"network":"lenet","seed":12,"epochs":2})", R"("seed":12)", R"("seed":1)");
  refuses_configuration(R"({"network":"lenet","batch":8,"seed":1,"epochs":2})", R"("batch":8)", R"("seed":1)");
  refuses_configuration(R"({"network":"conv2","seed":1,"epochs":2})", R"({"network":"conv2")", R"({"network":"lenet")");
  refuses_configuration(R"({"network":"lenet","seed":1,"epochs":21})", R"("epochs":21})", R"("epochs":2})");
  refuses_configuration(R"({"network":"lenet","seed":1})", "no further entry", R"("epochs":2})");
  refuses_configuration(R"({"network":"lenet","seed":1,"epochs":2,"shift":1})", R"("shift":1})", "no further entry");
  refuses_configuration("", "", R"({"network":"lenet")");
  Model wider = small_model(1, 4);
  CHECK(refusal(path, wider) == concat("at byte ", after_count + 2 * 80 + 8, ": expected 8 elements of fc1.weight (theta), got 6"));
  Model deeper({.seed = 1}, {.inputs = 2, .hidden = {3, 2}, .outputs = 2});  // its second layer has as many weights
  CHECK(refusal(path, deeper) == concat("at byte ", newer.size(), ": expected 8 more bytes, got 0 (the file is truncated)"));

  newer[7] = 3;
  CHECK(refusal(folder.write("newer.bin", sealed(newer)), model) == another_kind);
  nn::save_weights({}, folder / "weights.bin");
  CHECK(refusal(folder / "weights.bin", model) == another_kind);
}

TEST_CASE("checkpoint: hostile, with a valid checksum") {
  const TemporaryFolder folder;
  const Bytes body = body_of(saved(folder));
  Model model = small_model(1);
  for (std::size_t size = checkpoint_magic.size(); size < body.size(); ++size) {
    const Bytes part(body.begin(), body.begin() + static_cast<std::ptrdiff_t>(size));
    CHECK(refusal(folder.write("part.bin", sealed(part)), model) != "nothing was thrown");
  }
  Bytes longer = body;
  longer.push_back(0);
  CHECK(refusal(folder.write("longer.bin", sealed(longer)), model) == concat("at byte ", body.size(), ": expected the end, got 1 more bytes"));
  // More lines of history than the file has bytes, before memory is taken for them.
  Bytes many = body;
  std::fill_n(many.begin() + static_cast<std::ptrdiff_t>(count_of_rows), 8, std::uint8_t{0xFF});
  CHECK(refusal(folder.write("many.bin", sealed(many)), model) ==
        concat("at byte ", after_count, ": expected 18446744073709551615 lines of history, got ", body.size() - after_count, " bytes"));
}
