#include "tombola/optim/schedule.hpp"

#include <doctest/doctest.h>

using namespace tombola;

TEST_CASE("cosine rate: values by hand") {
  CHECK(optim::cosine_rate(0.05, 0) == 0.05);
  CHECK(optim::cosine_rate(0.05, 0.5) == doctest::Approx(0.025).epsilon(1e-14));
  CHECK(optim::cosine_rate(0.05, 1.0 / 3) == doctest::Approx(0.0375).epsilon(1e-14));  // cos 60 degrees = 1/2
  CHECK(optim::cosine_rate(0.05, 1) == 0);
  CHECK(optim::cosine_rate(0.05, 1.5) == 0);  // a run that is continued past its end
}

TEST_CASE("cosine rate: a linear warm-up, then the cosine over the rest") {
  CHECK(optim::cosine_rate(0.8, 0, 0.2) == 0);
  CHECK(optim::cosine_rate(0.8, 0.1, 0.2) == doctest::Approx(0.4).epsilon(1e-14));
  CHECK(optim::cosine_rate(0.8, 0.2, 0.2) == doctest::Approx(0.8).epsilon(1e-14));
  CHECK(optim::cosine_rate(0.8, 0.6, 0.2) == doctest::Approx(0.4).epsilon(1e-14));
  CHECK(optim::cosine_rate(0.8, 1, 0.2) == 0);
  CHECK(optim::cosine_rate(0.8, 0.5, 1) == doctest::Approx(0.4).epsilon(1e-14));
  CHECK(optim::cosine_rate(0.8, 1, 1) == 0.8);  // nothing but warm-up
}

TEST_CASE("cosine rate: falls all the way, without jumps") {
  for (int i = 0; i < 1000; ++i) {
    const double now = optim::cosine_rate(1, i / 1000.0), next = optim::cosine_rate(1, (i + 1) / 1000.0);
    REQUIRE(next < now);
    REQUIRE(now - next < 0.0016);  // the steepest slope is pi / 2
  }
}

TEST_CASE("cosine between: values by hand") {
  CHECK(optim::cosine_between(0.5, 0.1, 0) == doctest::Approx(0.5).epsilon(1e-14));
  CHECK(optim::cosine_between(0.5, 0.1, 1.0 / 3) == doctest::Approx(0.4).epsilon(1e-14));
  CHECK(optim::cosine_between(0.5, 0.1, 1) == 0.1);
  CHECK(optim::cosine_between(0.1, 0.5, 0.5) == doctest::Approx(0.3).epsilon(1e-14));
}
