#include "tombola/gates/effective.hpp"

#include <doctest/doctest.h>

#include <functional>
#include <string>
#include <vector>

#include "tombola/core/random.hpp"

using namespace tombola;
using gates::effective_counts;
using gates::MaskedConnection;
using Counts = std::vector<Index>;

namespace {

/// A layer from rows of '1' and '.', one row per output.
MaskedConnection layer(Index from, const std::vector<std::string>& rows) {
  MaskedConnection made;
  made.from = from;
  made.to = from + 1;
  made.out = static_cast<Index>(rows.size());
  made.in = static_cast<Index>(rows.front().size());
  made.open = Bits(made.out * made.in);
  for (Index o = 0; o < made.out; ++o) {
    for (Index i = 0; i < made.in; ++i) {
      made.open.set(o * made.in + i, rows[static_cast<std::size_t>(o)][static_cast<std::size_t>(i)] == '1');
    }
  }
  return made;
}

Counts counts_of_chain(const std::vector<std::vector<std::string>>& layers) {
  std::vector<MaskedConnection> chain;
  for (std::size_t l = 0; l < layers.size(); ++l) chain.push_back(layer(static_cast<Index>(l), layers[l]));
  return effective_counts(chain);
}

/// Whether a path of open elements leads from a channel of a group to the last group, tried one after the other.
bool leads_on(const std::vector<MaskedConnection>& all, Index group, Index channel) {
  if (group == all.back().to) return true;
  for (const MaskedConnection& c : all) {
    if (c.from != group) continue;
    for (Index place = 0; place < c.open.size(); ++place) {
      const Index in = c.diagonal ? place : place % c.in / c.repeat, out = c.diagonal ? place : place / (c.in * c.taps);
      if (c.open[place] && in == channel && leads_on(all, c.to, out)) return true;
    }
  }
  return false;
}
bool is_reached(const std::vector<MaskedConnection>& all, Index group, Index channel) {
  if (group == 0) return true;
  for (const MaskedConnection& c : all) {
    if (c.to != group) continue;
    for (Index place = 0; place < c.open.size(); ++place) {
      const Index in = c.diagonal ? place : place % c.in / c.repeat, out = c.diagonal ? place : place / (c.in * c.taps);
      if (c.open[place] && out == channel && is_reached(all, c.from, in)) return true;
    }
  }
  return false;
}

}  // namespace

TEST_CASE("effective_counts: everything open") { CHECK((counts_of_chain({{"111", "111"}, {"11"}}) == Counts{6, 2})); }

TEST_CASE("effective_counts: a hidden unit without an input feeds nothing") {
  // unit 1 has no input: its way to the output counts for nothing
  CHECK((counts_of_chain({{"11", ".."}, {"11"}}) == Counts{2, 1}));
}

TEST_CASE("effective_counts: a hidden unit without an output is fed for nothing") {
  // no output reads unit 1: its connections from the inputs count for nothing
  CHECK((counts_of_chain({{"11", "11"}, {"1."}}) == Counts{2, 1}));
}

TEST_CASE("effective_counts: dead ends are followed through several layers, both ways") {
  CHECK((counts_of_chain({
             {"1..", "..1", "..."},  // input 1 is unread; unit 2 gets nothing
             {"1.1", ".1.", "..1"},  // unit 0 reads 0 and the dead 2; unit 2 reads the dead 2 alone
             {"1.1", "..."},         // output 1 gets nothing; unit 1 is unread, so all before it is in vain
         }) == Counts{1, 1, 1}));    // input 0 -> 0 -> 0 -> 0 is the only path
}

TEST_CASE("effective_counts: a cut network has none left") {
  CHECK((counts_of_chain({{"11", "11"}, {".."}, {"1", "1"}}) == Counts{0, 0, 0}));
}

TEST_CASE("effective_counts: single layers, none, and empty ones") {
  CHECK((counts_of_chain({{"1.", "11"}}) == Counts{3}));
  CHECK(effective_counts({}).empty());
  CHECK((effective_counts(std::vector<MaskedConnection>{{.from = 0, .to = 1, .out = 0, .in = 5, .open = Bits(0)},
                                                        {.from = 1, .to = 2, .out = 3, .in = 0, .open = Bits(0)}}) == Counts{0, 0}));
}

TEST_CASE("effective_counts: taps and flattened pixels connect channels; skips and gates on channels go straight") {
  // Two channels of two pixels each; tap 1 alone leads from channel 1.
  MaskedConnection conv{.from = 0, .to = 1, .out = 2, .in = 2, .taps = 2, .open = Bits(8)};
  conv.open.set(0 * 4 + 1 * 2 + 1, true);  // output 0, tap 1, input 1
  conv.open.set(1 * 4 + 0 * 2 + 0, true);  // output 1, tap 0, input 0
  MaskedConnection gates{.from = 1, .to = 2, .out = 2, .in = 2, .open = Bits(2), .diagonal = true};
  gates.open.set(0, true);
  MaskedConnection flat{.from = 2, .to = 3, .out = 1, .in = 4, .repeat = 2, .open = Bits::all(4)};
  CHECK((effective_counts(std::vector{conv, gates, flat}) == Counts{1, 1, 2}));
  // With a skip around the gates, channel 1 goes on as well.
  const MaskedConnection skip{.from = 1, .to = 2, .out = 2, .in = 2, .open = Bits::all(2), .diagonal = true};
  CHECK((effective_counts(std::vector{conv, gates, skip, flat}) == Counts{2, 1, 2, 4}));
}

TEST_CASE("effective_counts: random networks with skips, against a search for paths") {
  for (std::uint32_t draw = 0; draw < 50; ++draw) {
    CAPTURE(draw);
    const Stream stream{7, Purpose::control, 0, draw};
    std::uint64_t next = 0;
    const auto random_bits = [&](Index size, std::uint64_t of_eight) {
      Bits bits(size);
      for (Index i = 0; i < size; ++i) bits.set(i, stream.word(next++) % 8 < of_eight);
      return bits;
    };
    const std::vector<MaskedConnection> all{
        {.from = 0, .to = 1, .out = 4, .in = 3, .taps = 2, .open = random_bits(24, 1)},
        {.from = 1, .to = 2, .out = 3, .in = 4, .open = random_bits(12, 2)},
        {.from = 2, .to = 3, .out = 4, .in = 3, .open = random_bits(12, 2)},
        {.from = 1, .to = 3, .out = 4, .in = 4, .open = random_bits(4, 4), .diagonal = true},
        {.from = 3, .to = 4, .out = 2, .in = 12, .repeat = 3, .open = random_bits(24, 2)},
    };
    Counts expected;
    for (const MaskedConnection& c : all) {
      expected.push_back(0);
      for (Index place = 0; place < c.open.size(); ++place) {
        const Index in = c.diagonal ? place : place % c.in / c.repeat, out = c.diagonal ? place : place / (c.in * c.taps);
        expected.back() += c.open[place] && is_reached(all, c.from, in) && leads_on(all, c.to, out);
      }
    }
    CHECK((effective_counts(all) == expected));
  }
}

TEST_CASE("effective_counts refuses connections that do not fit") {
  CHECK_THROWS_WITH_AS(counts_of_chain({{"11", "11", "11"}, {"11"}}),
                       "effective_counts: expected connections [out, taps, in] that fit one after the other, got [1, 1, 2] from group 1 to 2 as "
                       "connection 1",
                       std::invalid_argument);
  CHECK_THROWS_WITH_AS(effective_counts(std::vector<MaskedConnection>{{.from = 0, .to = 1, .out = 2, .in = 3, .open = Bits(5)}}),
                       "effective_counts: expected connections [out, taps, in] that fit one after the other, got [2, 1, 3] from group 0 to 1 as "
                       "connection 0",
                       std::invalid_argument);
  MaskedConnection never{.from = 0, .to = 1, .out = 2, .in = 2, .repeat = 0, .open = Bits(4)};
  CHECK_THROWS_WITH_AS(effective_counts(std::vector{never}),
                       "effective_counts: expected extents [out, taps, in] of at least [0, 1, 0] and a repeat of at least 1, got [2, 1, 2] and 0 as connection 0",
                       std::invalid_argument);
  never = {.from = 0, .to = 1, .out = 2, .in = -2, .open = Bits(4)};
  CHECK_THROWS_WITH_AS(effective_counts(std::vector{never}),
                       "effective_counts: expected extents [out, taps, in] of at least [0, 1, 0] and a repeat of at least 1, got [2, 1, -2] and 1 as connection 0",
                       std::invalid_argument);
  MaskedConnection wide = layer(0, {"11", "11", "11"});
  CHECK_THROWS_WITH_AS(effective_counts(std::vector{layer(0, {"11", "11"}), wide}),
                       "effective_counts: expected 2 channels for group 1, got 3 from connection 1", std::invalid_argument);
}
