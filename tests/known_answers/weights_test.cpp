// Known answers of the frozen weights. This file needs core, gates/weights.hpp and names.hpp alone, so that it can be compiled for
// every compiler, instruction set, optimisation and contraction mode. The expected bits are from
// tests/ticket/independent_reader.py.
#include "tombola/gates/weights.hpp"

#include <doctest/doctest.h>

#include <cstring>
#include <string>
#include <vector>

#include "tombola/gates/names.hpp"

using namespace tombola;

namespace {

constexpr std::uint64_t seed = 0x0123456789ABCDEF;
constexpr std::uint32_t id = 7;

struct Answers {
  WeightInit init;
  std::uint32_t scale;               ///< default_scale(init, 784, 300)
  std::vector<std::uint32_t> first;  ///< weights 0 to 7
  std::vector<std::uint32_t> last;   ///< the last five weights of a stream, 2^34 - 5 on
  std::uint64_t hash;                ///< of weights 0 to 100002
  std::uint64_t unit_hash;           ///< of weights 0 to 4098 of seed 1, id 0, scale 1
};

const std::vector<Answers>& answers() {
  static const std::vector<Answers> all = {
      {WeightInit::uniform,
       0x3DB329A5,
       {0xBCAE6AB0, 0xBD75E9AC, 0xBD4AF8F4, 0xBDA14241, 0xBD21ABAD, 0xBCE119CF, 0xBD10BF62, 0x3DA0E7A3},
       {0xBDAEEF03, 0x3D3DC09A, 0xBCB58008, 0x3C442251, 0xBD953614},
       0x444CBF6E43A40D28,
       0x05CFC3E8BF4471B4},
      {WeightInit::signed_constant,
       0x3D4EE116,
       {0x3D4EE116, 0x3D4EE116, 0x3D4EE116, 0x3D4EE116, 0x3D4EE116, 0x3D4EE116, 0x3D4EE116, 0xBD4EE116},
       {0x3D4EE116, 0xBD4EE116, 0x3D4EE116, 0xBD4EE116, 0x3D4EE116},
       0x2CF11841FBF860FF,
       0x2D1D941FED016EF3},
      {WeightInit::kaiming_normal,
       0x3D4EE116,
       {0xBC803B52, 0xBD506BE1, 0xBD220341, 0xBDAA2D80, 0xBCF8100E, 0xBCA755C6, 0xBCDB5518, 0x3DA931B5},
       {0xBDEA22E5, 0x3D1550C9, 0xBC859ED4, 0x3C0EA038, 0xBD8EE2A0},
       0x51B752CB8D191DDA,
       0xEDB6573E2A44C264},
      {WeightInit::glorot_uniform,
       0x3D985DF4,
       {0xBC9454B4, 0xBD512249, 0xBD2C9DA5, 0xBD89240E, 0xBD097DB6, 0xBCBF6F43, 0xBCF632B8, 0x3D88D6FE},
       {0xBD94C53D, 0x3D215F75, 0xBC9A5AD8, 0x3C26CCD6, 0xBD7DCA4E},
       0x3F34E864A1D585C8,
       0x05CFC3E8BF4471B4},
  };
  return all;
}

FrozenWeights weights_of(const Answers& answer) { return {seed, id, answer.init, std::bit_cast<float>(answer.scale)}; }

std::vector<std::uint32_t> bits_of(const FrozenWeights& weights, Index first, Index count, int threads = 1) {
  std::vector<float> drawn(static_cast<std::size_t>(count));
  draw(weights, first, View<float>(drawn.data(), {count}), threads);
  std::vector<std::uint32_t> bits(drawn.size());
  std::transform(drawn.begin(), drawn.end(), bits.begin(), [](float w) { return std::bit_cast<std::uint32_t>(w); });
  return bits;
}

}  // namespace

TEST_CASE("weights: known answers") {
  for (const Answers& answer : answers()) {
    CAPTURE(std::string(name_of(answer.init)));
    CHECK(std::bit_cast<std::uint32_t>(default_scale(answer.init, 784, 300)) == answer.scale);
    CHECK(bits_of(weights_of(answer), 0, 8) == answer.first);
    CHECK(bits_of(weights_of(answer), most_weights - 5, 5) == answer.last);
    CHECK(hash_weights(weights_of(answer), 100003) == answer.hash);
    CHECK(hash_weights(FrozenWeights{1, 0, answer.init, 1.0f}, 4099) == answer.unit_hash);
  }
}

TEST_CASE("weights: every piece equals the whole, for any number of threads, in float and in double") {
  constexpr Index count = 140001;
  for (const Answers& answer : answers()) {
    const FrozenWeights weights = weights_of(answer);
    const std::vector<std::uint32_t> whole = bits_of(weights, 0, count);
    for (const int threads : {2, 3, 7}) CHECK(bits_of(weights, 0, count, threads) == whole);
    for (const Index first : {1, 2, 3, 4, 1021, 1023, 1024, 65535}) {
      for (const Index size : {0, 1, 5, 1024, 2049}) {
        const std::vector<std::uint32_t> part = bits_of(weights, first, size);
        CHECK(std::equal(part.begin(), part.end(), whole.begin() + first));
      }
    }
    std::vector<double> wide(count);
    draw(weights, 0, View<double>(wide.data(), {count}));
    Index different = 0;
    for (std::size_t i = 0; i < wide.size(); ++i) different += wide[i] != double{std::bit_cast<float>(whole[i])};
    CHECK(different == 0);
    CHECK(hash_weights(View<double>(wide.data(), {count})) == hash_weights(weights, count));
  }
}

TEST_CASE("weights: a weight is a rounded number even where the caller adds to it at once") {
  // With contraction, an inlined product could be fused with this sum and escape its rounding.
  const FrozenWeights weights{seed, id, WeightInit::uniform, 0.1f};
  for (Index i = 0; i < 1000; ++i) {
    float w = 0;
    draw(weights, i, View<float>(&w, {1}));
    const float sum = w + 1.0f;
    volatile float stored = w;
    volatile float expected = stored + 1.0f;
    CHECK(sum == expected);
  }
}

TEST_CASE("weights: another seed, another layer, another hash; one changed weight changes the hash") {
  const FrozenWeights weights{seed, id, WeightInit::uniform, 1.0f};
  FrozenWeights other_seed = weights, other_id = weights, upper_half = weights;
  other_seed.seed += 1;
  other_id.id += 1;
  upper_half.seed ^= std::uint64_t{1} << 63;
  const std::uint64_t hash = hash_weights(weights, 100);
  for (const FrozenWeights& other : {other_seed, other_id, upper_half}) CHECK(hash_weights(other, 100) != hash);
  std::vector<float> drawn(100);
  const View<float> view(drawn.data(), {100});
  draw(weights, 0, view);
  CHECK(hash_weights(view) == hash);
  drawn[99] = -drawn[99];
  CHECK(hash_weights(view) != hash);
  CHECK(hash_weights(weights, 0) == 0);
}

TEST_CASE("weights: mean, variance and bounds") {
  constexpr Index count = 1 << 20;
  std::vector<float> drawn(count);
  for (const Answers& answer : answers()) {
    const FrozenWeights weights = weights_of(answer);
    draw(weights, 0, View<float>(drawn.data(), {count}));
    double sum = 0, square = 0, greatest = 0;
    for (const float w : drawn) {
      sum += w;
      square += double{w} * w;
      greatest = std::max(greatest, std::abs(double{w}));
    }
    const bool bounded = answer.init == WeightInit::uniform || answer.init == WeightInit::glorot_uniform;
    const double variance = double{weights.scale} * weights.scale / (bounded ? 3 : 1);
    CHECK(std::abs(sum / count) < 5 * std::sqrt(variance / count));
    CHECK(square / count == doctest::Approx(variance).epsilon(0.01));
    if (answer.init != WeightInit::kaiming_normal) CHECK(greatest <= weights.scale);
  }
}

TEST_CASE("weights: the normal quantile against Python's statistics.NormalDist().inv_cdf") {
  struct Point {
    std::int32_t m;  ///< p = 1/2 + m 2^-25
    double z;
  };
  const Point points[] = {
      {1, 7.470334394666561e-08},       {3, 2.2411003183999846e-07},    {1001, 7.477804736030232e-05},
      {-4194303, -0.31863928537076774}, {4194303, 0.31863928537076774}, {8388609, 0.6744898439799722},
      {-8388609, -0.6744898439799722},  {12582913, 1.1503495251504252}, {14260631, 1.4395309235485612},
      {14260633, 1.4395313446176727},   {14260635, 1.439531765687039},  {-14260635, -1.439531765687039},
      {14500001, 1.4918724313266114},   {15000001, 1.6167592037103817}, {-15500001, -1.7736084054841474},
      {16000001, 1.9924142602395283},   {16500001, 2.397146816885225},  {16700001, 2.833622069192239},
      {16770001, 3.520922977490339},    {16777001, 4.363240402927691},  {16777207, 5.0127980854758265},
      {16777213, 5.220113060600539},    {16777215, 5.419983174916869},  {-16777215, -5.419983174916869}};
  const detail::NormalQuantile quantile;
  for (const auto& [m, z] : points) {
    const double q = m * 0x1p-25;
    const double found = std::abs(m) <= 14260633 ? quantile.central(q) : quantile.tail(q);
    CHECK(std::abs(found - z) <= 4e-16 * std::abs(z));
  }
}

TEST_CASE("weights: the normal quantile has the same bits everywhere") {
  // In float a fused product would show once in millions of weights; in double it shows at once.
  const detail::NormalQuantile quantile;
  Crc64 crc;
  for (std::int32_t m = -(1 << 24) + 1; m < 1 << 24; m += 2002) {
    const double q = m * 0x1p-25;
    const double z = std::abs(m) <= 14260633 ? quantile.central(q) : quantile.tail(q);
    std::uint8_t bytes[8];
    for (int k = 0; k < 8; ++k) bytes[k] = static_cast<std::uint8_t>(std::bit_cast<std::uint64_t>(z) >> (8 * k));
    crc.update(bytes);
  }
  CHECK(crc.value() == 0xE252E528E9E0D3F6);
}

TEST_CASE("weights: the normal quantile is the inverse of the distribution function, through erfc") {
  const detail::NormalQuantile quantile;
  double worst = 0;
  for (std::int32_t m = -(1 << 24) + 1; m < 0; m += 2002) {
    const double q = m * 0x1p-25;
    const double z = std::abs(m) <= 14260633 ? quantile.central(q) : quantile.tail(q);
    const double p = 0.5 + q;
    worst = std::max(worst, std::abs(0.5 * std::erfc(-z * std::sqrt(0.5)) - p) / p);
  }
  CHECK(worst < 1e-14);
}

TEST_CASE("weights: default scales") {
  CHECK(default_scale(WeightInit::uniform, 6, 1) == 1.0f);
  CHECK(default_scale(WeightInit::signed_constant, 2, 9) == 1.0f);
  CHECK(default_scale(WeightInit::kaiming_normal, 8, 9) == 0.5f);
  CHECK(default_scale(WeightInit::glorot_uniform, 10, 14) == 0.5f);
  const auto refused = [](WeightInit init, Index in, Index out, const char* message) {
    CHECK_THROWS_WITH_AS(default_scale(init, in, out), message, std::invalid_argument);
  };
  CHECK(default_scale(WeightInit::uniform, most_weights, most_weights) > 0);
  refused(WeightInit::uniform, 0, 1, "weights: expected a fan-in and a fan-out of 1 to 2^34, got 0 and 1");
  refused(WeightInit::uniform, 1, 0, "weights: expected a fan-in and a fan-out of 1 to 2^34, got 1 and 0");
  refused(WeightInit::uniform, most_weights + 1, 1, "weights: expected a fan-in and a fan-out of 1 to 2^34, got 17179869185 and 1");
  refused(WeightInit::uniform, 1, most_weights + 1, "weights: expected a fan-in and a fan-out of 1 to 2^34, got 1 and 17179869185");
  refused(static_cast<WeightInit>(4), 1, 1, "weights: expected an initialisation from 0 to 3, got 4");
}

TEST_CASE("weights: names") {
  for (const auto name : weight_init_names) CHECK(name_of(parse_name<WeightInit>("init", weight_init_names, name)) == name);
  CHECK(name_of(WeightInit::glorot_uniform) == "glorot_uniform");
  CHECK_THROWS_WITH_AS(parse_name<WeightInit>("weights", weight_init_names, "xavier"),
                       "weights: expected one of uniform, signed_constant, kaiming_normal, glorot_uniform, got xavier", std::invalid_argument);
}

TEST_CASE("weights: errors") {
  float w = 0;
  const View<float> one(&w, {1});
  const auto refused = [&one](const FrozenWeights& weights, Index first, const std::string& message) {
    CHECK_THROWS_WITH_AS(draw(weights, first, one), ("weights: expected " + message).c_str(), std::invalid_argument);
  };
  refused({1, 0, static_cast<WeightInit>(9), 1.0f}, 0, "an initialisation from 0 to 3, got 9");
  for (const auto& [scale, written] : {std::pair{0.0f, "0"}, {-1.0f, "-1"}, {0x1p-65f, "2.71051e-20"}, {0x1p65f, "3.68935e+19"},
                                       {std::numeric_limits<float>::infinity(), "inf"}, {std::numeric_limits<float>::quiet_NaN(), "nan"}}) {
    refused({1, 0, WeightInit::uniform, scale}, 0, concat("a scale of 2^-64 to 2^64, got ", written));
  }
  refused({1, 0, WeightInit::uniform, 1.0f}, -1, "a range within 2^34 weights, got 1 from -1");
  refused({1, 0, WeightInit::uniform, 1.0f}, most_weights, "a range within 2^34 weights, got 1 from 17179869184");
  CHECK_THROWS_WITH_AS(hash_weights(FrozenWeights{}, most_weights + 1), "weights: expected a range within 2^34 weights, got 17179869185 from 0",
                       std::invalid_argument);
}
