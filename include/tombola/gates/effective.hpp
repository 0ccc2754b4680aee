/// \file
/// What of a masked network is still connected: effective sparsity.
#pragma once

#include <span>
#include <utility>
#include <vector>

#include "tombola/core/bits.hpp"
#include "tombola/core/error.hpp"

namespace tombola::inline TOMBOLA_ISA::gates {

/// Masked weights [out, taps, in] that lead from one group of channels to another: neurons are channels, the taps of a kernel and the
/// pixels of a flattened image connect alike. Or, if `diagonal`, gates [out / repeat] on the channels themselves; all open, a skip connection.
struct MaskedConnection {
  Index from = 0, to = 1;  ///< numbers of the groups; group 0 is the input of the network
  Index out = 0, in = 0;
  Index taps = 1;
  Index repeat = 1;  ///< inputs in a row that belong to one channel of `from`: pixels that were flattened; channels of one gate
  Bits open;         ///< row-major
  bool diagonal = false;
};

namespace detail {

/// Calls f(place, channel of `to`, channel of `from`) for every open element.
template <class F>
void for_each_open(const MaskedConnection& c, const F& f) {
  if (c.diagonal) {
    for (Index i = 0; i < c.out; ++i) {
      if (c.open[i / c.repeat]) f(i / c.repeat, static_cast<std::size_t>(i), static_cast<std::size_t>(i));
    }
    return;
  }
  Index place = 0;
  for (Index o = 0; o < c.out; ++o) {
    for (Index tap = 0; tap < c.taps; ++tap) {
      for (Index i = 0; i < c.in; ++i, ++place) {
        if (c.open[place]) f(place, static_cast<std::size_t>(o), static_cast<std::size_t>(i / c.repeat));
      }
    }
  }
}

}  // namespace detail

/// How many open elements of each connection lie on a path of open elements from the input, group 0, to the output, the last
/// connection's `to`. Connections stand in the order of computing; several into one group add up there.
/// Throws `std::invalid_argument` if connections do not fit. Source: Vysogorets, Kempe, "Connectivity matters: neural network pruning
/// through the lens of effective sparsity", JMLR 2023 (arXiv 2107.02306).
inline std::vector<Index> effective_counts(std::span<const MaskedConnection> connections) {
  if (connections.empty()) return {};
  std::vector<std::vector<char>> reached, useful;  // of each group, each channel
  const auto group = [](std::vector<std::vector<char>>& all, Index number, Index channels) -> std::vector<char>& {
    const auto at = static_cast<std::size_t>(number);
    if (all.size() <= at) all.resize(at + 1);
    if (all[at].empty()) all[at].assign(static_cast<std::size_t>(channels), 0);
    return all[at];
  };
  for (std::size_t c = 0; c < connections.size(); ++c) {
    const MaskedConnection& each = connections[c];
    require(each.out >= 0 && each.in >= 0 && each.taps >= 1 && each.repeat >= 1, "effective_counts: expected extents [out, taps, in] of at least "
            "[0, 1, 0] and a repeat of at least 1, got [", each.out, ", ", each.taps, ", ", each.in, "] and ", each.repeat, " as connection ", c);
    if (c == 0) reached.emplace_back(static_cast<std::size_t>(each.diagonal ? each.in : each.in / each.repeat), 1);
    const auto known = static_cast<std::size_t>(each.from) < reached.size() ? static_cast<Index>(reached[static_cast<std::size_t>(each.from)].size()) : -1;
    const bool fits = each.diagonal ? each.open.size() * each.repeat == each.out && each.out == each.in && known == each.in
                                    : each.open.size() == each.out * each.taps * each.in && known * each.repeat == each.in;
    require(each.from >= 0 && each.to > each.from && fits,
            "effective_counts: expected connections [out, taps, in] that fit one after the other, got [", each.out, ", ", each.taps, ", ",
            each.in, "] from group ", each.from, " to ", each.to, " as connection ", c);
    std::vector<char>& to = group(reached, each.to, each.out);
    require(static_cast<Index>(to.size()) == each.out, "effective_counts: expected ", to.size(), " channels for group ", each.to, ", got ",
            each.out, " from connection ", c);
    const std::vector<char> from = reached[static_cast<std::size_t>(each.from)];
    detail::for_each_open(each, [&](Index, std::size_t o, std::size_t i) { to[o] = static_cast<char>(to[o] | from[i]); });
  }
  const MaskedConnection& last = connections.back();
  group(useful, last.to, last.out).assign(static_cast<std::size_t>(last.out), 1);
  std::vector<Index> counts(connections.size(), 0);
  for (std::size_t c = connections.size(); c-- > 0;) {
    const MaskedConnection& each = connections[c];
    const std::vector<char> to = group(useful, each.to, each.out);
    const std::vector<char>& arrives = reached[static_cast<std::size_t>(each.from)];
    std::vector<char>& from = group(useful, each.from, static_cast<Index>(arrives.size()));
    Index counted = -1;  // a gate on several channels counts once
    detail::for_each_open(each, [&](Index place, std::size_t o, std::size_t i) {
      if (!to[o]) return;
      from[i] = 1;
      if (arrives[i] && std::exchange(counted, place) != place) ++counts[c];
    });
  }
  return counts;
}

}  // namespace tombola::inline TOMBOLA_ISA::gates
