#include "tombola/gates/names.hpp"

#include <doctest/doctest.h>

using namespace tombola;

TEST_CASE("names of gate kinds, penalties and readings") {
  CHECK(name_of(GateKind::gaussian) == "gaussian");
  CHECK(name_of(GateKind::hard_concrete) == "hard-concrete");
  CHECK(name_of(Penalty::none) == "none");
  CHECK(name_of(Penalty::sparse) == "sparse");
  CHECK(name_of(Penalty::undecided) == "undecided");
  CHECK(name_of(Penalty::variance) == "variance");
  CHECK(name_of(Penalty::entropy) == "entropy");
  CHECK(name_of(Reading::sampled) == "sampled");
  CHECK(name_of(Reading::relaxed) == "relaxed");
  CHECK(name_of(Reading::above_zero) == "above_zero");
  CHECK(name_of(Reading::binary) == "binary");
}

TEST_CASE("every name parses to the value that it is the name of") {
  for (const auto name : gate_kind_names) CHECK(name_of(parse_name<GateKind>("gates", gate_kind_names, name)) == name);
  for (const auto name : penalty_names) CHECK(name_of(parse_name<Penalty>("penalty", penalty_names, name)) == name);
  for (const auto name : reading_names) CHECK(name_of(parse_name<Reading>("reading", reading_names, name)) == name);
}

TEST_CASE("an unknown name is refused with the names there are") {
  CHECK_THROWS_WITH_AS(parse_name<GateKind>("gates", gate_kind_names, "hard_concrete"),
                       "gates: expected one of gaussian, hard-concrete, got hard_concrete", std::invalid_argument);
  CHECK_THROWS_WITH_AS(parse_name<Penalty>("penalty", penalty_names, ""),
                       "penalty: expected one of none, sparse, undecided, variance, entropy, got ",
                       std::invalid_argument);
  CHECK_THROWS_WITH_AS(parse_name<Reading>("reading", reading_names, "Binary"),
                       "reading: expected one of sampled, relaxed, above_zero, binary, got Binary",
                       std::invalid_argument);
}
