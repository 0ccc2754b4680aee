#include "tombola/core/error.hpp"

#include <doctest/doctest.h>

using namespace tombola;

namespace {

struct Counted {
  int* written;
  friend std::ostream& operator<<(std::ostream& out, const Counted& counted) {
    ++*counted.written;
    return out << "counted";
  }
};

}  // namespace

TEST_CASE("require: throws its parts as one message") {
  CHECK_THROWS_WITH_AS(require(false, "linear: expected ", 3, " rows, got ", 2.5, '!'),
                       "linear: expected 3 rows, got 2.5!", std::invalid_argument);
}

TEST_CASE("require: formats nothing while it holds") {
  int written = 0;
  require(true, Counted{&written});
  CHECK(written == 0);
  CHECK_THROWS_WITH_AS(require(false, Counted{&written}), "counted", std::invalid_argument);
  CHECK(written == 1);
}

TEST_CASE("refuse_file: path, offset, expected, got") {
  CHECK_THROWS_WITH_AS(refuse_file("a/b.idx", 16, "the end", 3), "a/b.idx: at byte 16: expected the end, got 3",
                       std::runtime_error);
  CHECK_THROWS_WITH_AS(refuse_file("x", ~std::uint64_t{0}, 'a', "b"),
                       "x: at byte 18446744073709551615: expected a, got b", std::runtime_error);
}

TEST_CASE("concat: parts of any type") {
  CHECK(concat("a", 1, std::string_view("b")) == "a1b");
  CHECK(concat(std::string("x"), '/', true, 2.5, std::hex, 255) == "x/12.5ff");
}
