#include "tombola/core/shape.hpp"

#include <doctest/doctest.h>

#include <vector>

using namespace tombola;

TEST_CASE("shape: extents, sizes and rows") {
  const Shape shape{2, 3, 4};
  CHECK(shape.rank() == 3);
  CHECK(shape[0] == 2);
  CHECK(shape[1] == 3);
  CHECK(shape[2] == 4);
  CHECK(shape.size() == 24);
  CHECK(shape.last() == 4);
  CHECK(shape.rows() == 6);
  CHECK(std::vector<Index>(shape.begin(), shape.end()) == std::vector<Index>{2, 3, 4});
  CHECK(Shape{1, 2, 3, 4, 5, 6}.size() == 720);
}

TEST_CASE("shape: a scalar has one element") {
  const Shape scalar;
  CHECK(scalar.rank() == 0);
  CHECK(scalar.size() == 1);
  CHECK(scalar.last() == 1);
  CHECK(scalar.rows() == 1);
  CHECK(scalar.begin() == scalar.end());
}

TEST_CASE("shape: an extent of zero") {
  CHECK(Shape{0}.size() == 0);
  CHECK(Shape{0}.rows() == 0);
  CHECK(Shape{3, 0}.size() == 0);
  CHECK(Shape{3, 0}.rows() == 0);
  CHECK(Shape{0, 5}.rows() == 0);
  CHECK(Shape{0, 5}.last() == 5);
}

TEST_CASE("shape: from an array of extents") {
  const Index extents[] = {7, 5, 3};
  CHECK(Shape(extents, 2) == Shape{7, 5});
  CHECK(Shape(extents, 0) == Shape{});
}

TEST_CASE("shape: equality compares rank and extents") {
  CHECK(Shape{2, 3} == Shape{2, 3});
  CHECK(Shape{2, 3} != Shape{3, 2});
  CHECK(Shape{2} != Shape{2, 1});
  CHECK(Shape{} != Shape{0});  // both have extents that are all zero in memory
  CHECK(Shape{} != Shape{1});
}

TEST_CASE("shape: as text") {
  CHECK(to_string(Shape{5, 7}) == "[5, 7]");
  CHECK(to_string(Shape{3}) == "[3]");
  CHECK(to_string(Shape{}) == "[]");
}

TEST_CASE("shape: refuses what is no shape") {
  CHECK_THROWS_WITH_AS(Shape({1, 1, 1, 1, 1, 1, 1}), "shape: expected at most 6 extents, got 7", std::invalid_argument);
  CHECK_THROWS_WITH_AS(Shape(nullptr, -1), "shape: expected at most 6 extents, got -1", std::invalid_argument);
  CHECK_THROWS_WITH_AS(Shape({2, -3}), "shape: expected extents of at least 0, got -3", std::invalid_argument);
}

TEST_CASE("shape: refuses more elements than can be addressed, without overflow on the way") {
  constexpr Index most = std::numeric_limits<Index>::max();
  CHECK(Shape{most / 16}.size() == most / 16);  // 16 bytes an element is the widest that is promised
  CHECK_THROWS_WITH_AS(Shape({most / 16 + 1}),
                       "shape: expected an addressable number of elements, got at least 1 times 576460752303423488",
                       std::invalid_argument);
  CHECK_THROWS_WITH_AS(Shape({Index{1} << 62}),  // 16 times this is 0 modulo 2^64
                       "shape: expected an addressable number of elements, got at least 1 times 4611686018427387904",
                       std::invalid_argument);
  CHECK_THROWS_WITH_AS(Shape({most}),
                       "shape: expected an addressable number of elements, got at least 1 times 9223372036854775807",
                       std::invalid_argument);
  CHECK_THROWS_WITH_AS(Shape({Index{1} << 30, Index{1} << 30}),
                       "shape: expected an addressable number of elements, got at least 1073741824 times 1073741824",
                       std::invalid_argument);
}
