#include "tombola/nn/members.hpp"

#include <doctest/doctest.h>

#include <array>
#include <memory>
#include <string>

#include "tombola/gates/options.hpp"

using namespace tombola;

namespace {

struct Leaf {
  int number;
};
struct Pair {
  Leaf a, b;
  auto members() { return std::tie(a, b); }
};
struct Tree {
  Leaf first;
  std::vector<Pair> pairs;
  std::optional<Pair> present, absent;
  std::vector<std::optional<Leaf>> leaves;
  std::array<Pair, 2> two;
  std::unique_ptr<Pair> owned, none;
  Leaf last[2];
  int not_a_member = 0;
  auto members() { return std::tie(first, pairs, present, absent, leaves, two, owned, none, last); }
};

struct Mixed {
  GateParameter<float> gate;
  Parameter<float> weight;
  std::vector<GateParameter<float>> more;
  auto members() { return std::tie(gate, weight, more); }
};

}  // namespace

template <>
inline constexpr bool tombola::nn::detail::is_leaf<Leaf> = true;

TEST_CASE("members: every leaf once, in order, through vectors, arrays, optionals and unique pointers") {
  Tree tree{{1}, {}, Pair{{6}, {7}}, std::nullopt, {}, {Pair{{10}, {11}}, Pair{{12}, {13}}}, std::make_unique<Pair>(Pair{{14}, {15}}), nullptr, {{16}, {17}}};
  tree.pairs.push_back({{2}, {3}});
  tree.pairs.push_back({{4}, {5}});
  tree.leaves.push_back(Leaf{8});
  tree.leaves.push_back(std::nullopt);
  tree.leaves.push_back(Leaf{9});
  std::vector<int> found;
  nn::for_each_leaf(tree, [&](Leaf& leaf) { found.push_back(leaf.number); });
  CHECK(found == std::vector<int>{1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17});
  nn::for_each_leaf(tree, [](Leaf& leaf) { leaf.number *= 10; });  // by reference
  CHECK(tree.pairs[1].b.number == 50);
  Leaf alone{5};
  nn::for_each_leaf(alone, [&](Leaf& leaf) { found = {leaf.number}; });
  CHECK(found == std::vector<int>{5});
}

TEST_CASE("members: gates and parameters") {
  const auto gate = [](const std::string& name) { return gates::make_gates<float>({}, name, 1, 2, {3}); };
  Mixed model{gate("a"), Parameter<float>(Tensor<float>({2})), {}};
  model.more.push_back(gate("b"));
  model.more.push_back(gate("c"));
  const auto found = nn::gates<float>(model);
  REQUIRE(found.size() == 3);
  CHECK(found[0] == &model.gate);
  CHECK(found[1]->name == "b");
  CHECK(found[2] == &model.more[1]);
  CHECK(nn::parameters(model) == std::vector{&model.weight});
  std::vector<std::string> names;
  nn::for_each_of<GateParameter<float>>(model, [&](GateParameter<float>& each) { names.push_back(each.name); });
  CHECK(names == std::vector<std::string>{"a", "b", "c"});
}
