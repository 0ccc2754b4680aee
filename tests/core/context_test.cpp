#include "tombola/core/context.hpp"

#include <doctest/doctest.h>

using namespace tombola;

TEST_CASE("context: threads, pool and scratch") {
  Context context(3);
  CHECK(context.threads().count() == 3);
  CHECK(Context().threads().count() == available_threads());
  CHECK(available_threads() >= 1);
  std::byte* data = context.pool().take(5000).data();
  CHECK(context.pool().take(5000).data() == data);
  CHECK(context.workspace().take<float>(10) != nullptr);
}

TEST_CASE("context: refuses a number of threads that cannot be meant") {
  CHECK_THROWS_WITH_AS(Context(0), "threads: expected 1 to 1024, got 0", std::invalid_argument);
  CHECK_THROWS_WITH_AS(Context(-2), "threads: expected 1 to 1024, got -2", std::invalid_argument);
  CHECK_THROWS_WITH_AS(Context(1025), "threads: expected 1 to 1024, got 1025", std::invalid_argument);
  CHECK(Context(64).threads().count() == 64);
}
