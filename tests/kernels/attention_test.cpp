#include "tombola/kernels/attention_backward.hpp"

#include <doctest/doctest.h>

#include "support/architectures.hpp"
#include "support/arrays.hpp"
#include "support/worst.hpp"

using namespace tombola;
using test::at;

namespace {

struct Case {
  Index sequences, heads, queries, keys, size;
  bool causal = false;
  Index bias_sequences = 0, mask_sequences = 0;  // 0: none
};

/// Attention and its gradients by loops in double over whole matrices, from the same inputs.
struct Reference {
  std::vector<double> o, dq, dk, dv, dbias;

  template <class T>
  Reference(const Case& c, double scale, const std::vector<T>& q, const std::vector<T>& k, const std::vector<T>& v, const std::vector<T>& dout,
            const std::vector<T>& bias, const std::vector<T>& mask)
      : o(q.size()),
        dq(q.size()),
        dk(k.size()),
        dv(v.size()),
        dbias(bias.size()) {
    const Index row = c.heads * c.size;
    for (Index n = 0; n < c.sequences; ++n) {
      for (Index h = 0; h < c.heads; ++h) {
        for (Index i = 0; i < c.queries; ++i) {
          const std::size_t query = at((n * c.queries + i) * row + h * c.size);
          const auto key = [&](Index j) { return at((n * c.keys + j) * row + h * c.size); };
          const auto biased = [&](Index j) { return at(((n % c.bias_sequences * c.heads + h) * c.queries + i) * c.keys + j); };
          std::vector<double> p(at(c.keys), 0.0);
          double top = -INFINITY, total = 0, mean = 0;
          for (Index j = 0; j < c.keys; ++j) {
            double logit = 0;
            for (std::size_t e = 0; e < at(c.size); ++e) logit += static_cast<double>(q[query + e]) * static_cast<double>(k[key(j) + e]);
            logit *= scale;
            if (c.bias_sequences > 0) logit += static_cast<double>(bias[biased(j)]);
            if (c.mask_sequences > 0) logit += static_cast<double>(mask[at((n % c.mask_sequences * c.queries + i) * c.keys + j)]);
            if (c.causal && j > i + c.keys - c.queries) logit = -INFINITY;
            p[at(j)] = logit;
            top = std::max(top, logit);
          }
          for (double& each : p) total += each = top == -INFINITY ? 0 : std::exp(each - top);
          for (double& each : p) each = total == 0 ? 0 : each / total;
          for (Index j = 0; j < c.keys; ++j) {
            for (std::size_t e = 0; e < at(c.size); ++e) o[query + e] += p[at(j)] * static_cast<double>(v[key(j) + e]);
          }
          for (std::size_t e = 0; e < at(c.size); ++e) mean += o[query + e] * static_cast<double>(dout[query + e]);
          for (Index j = 0; j < c.keys; ++j) {
            double dp = 0;
            for (std::size_t e = 0; e < at(c.size); ++e) dp += static_cast<double>(dout[query + e]) * static_cast<double>(v[key(j) + e]);
            const double ds = p[at(j)] * (dp - mean);
            if (c.bias_sequences > 0) dbias[biased(j)] += ds;
            for (std::size_t e = 0; e < at(c.size); ++e) {
              dv[key(j) + e] += p[at(j)] * static_cast<double>(dout[query + e]);
              dq[query + e] += scale * ds * static_cast<double>(k[key(j) + e]);
              dk[key(j) + e] += scale * ds * static_cast<double>(q[query + e]);
            }
          }
        }
      }
    }
  }
};

/// The largest error over the largest value of the reference; at least .1, since what is exactly 0 is left over from terms near 1.
template <class T>
double error(const std::vector<double>& expected, const T* got) {
  double largest = 0.1, worst = 0;
  for (std::size_t i = 0; i < expected.size(); ++i) {
    largest = std::max(largest, std::abs(expected[i]));
    const double off = std::abs(static_cast<double>(got[i]) - expected[i]);
    test::widen(worst, off);
  }
  return worst / largest;
}

/// Forward and backward against the reference; gradients written, and added to what is there.
template <class T, class Arch>
void check(const Case& c) {
  CAPTURE(c.sequences);
  CAPTURE(c.heads);
  CAPTURE(c.queries);
  CAPTURE(c.keys);
  CAPTURE(c.size);
  CAPTURE(c.causal);
  CAPTURE(c.bias_sequences);
  CAPTURE(c.mask_sequences);
  const Index row = c.heads * c.size, q_size = c.sequences * c.queries * row, k_size = c.sequences * c.keys * row;
  // Logits of spread 1.5 or so: the sharpest probabilities that float still resolves well within the tolerance.
  const auto q = test::uniform<T>(q_size, -2, 2, 1), k = test::uniform<T>(k_size, -2, 2, 2), v = test::uniform<T>(k_size, -1, 1, 3);
  const auto dout = test::uniform<T>(q_size, -1, 1, 4);
  const auto bias = test::uniform<T>(c.bias_sequences * c.heads * c.queries * c.keys, -2, 2, 5);
  auto mask = test::uniform<T>(c.mask_sequences * c.queries * c.keys, -1, 1, 6);
  for (std::size_t i = 0; i < mask.size(); ++i) {
    if (mask[i] < T(-0.5) || i < at(c.keys)) mask[i] = -std::numeric_limits<T>::infinity();  // the first query sees nothing
  }
  const double scale = 1 / std::sqrt(static_cast<double>(c.size));
  const Reference exact(c, scale, q, k, v, dout, bias, mask);

  const kernels::AttentionShape<T> shape{c.sequences, c.heads, c.queries, c.keys, c.size, static_cast<T>(scale), c.causal};
  kernels::AttentionTerms<T> terms;
  if (c.bias_sequences > 0) terms.bias = bias.data(), terms.bias_sequences = c.bias_sequences;
  if (c.mask_sequences > 0) terms.mask = mask.data(), terms.mask_sequences = c.mask_sequences;
  const auto heads = [&](auto* data, Index length) { return kernels::Heads<std::remove_pointer_t<decltype(data)>>{data, length, row, c.size}; };
  test::Guarded<T> o(q_size), dq(q_size, T(0)), dk(k_size, T(0)), dv(k_size, T(0)), dbias(static_cast<Index>(bias.size()), T(0));
  test::Guarded<T> logsums(c.sequences * c.heads * c.queries);
  std::vector<T> scratch(at(kernels::attention_scratch<Arch>(shape, 1)), std::numeric_limits<T>::quiet_NaN());
  kernels::attention<Arch, T>(1, shape, terms, heads(q.data(), c.queries), heads(k.data(), c.keys), heads(v.data(), c.keys),
                              heads(o.data(), c.queries), logsums.data(), scratch.data());
  CHECK((o.intact() && logsums.intact()));
  const double tolerance = std::is_same_v<T, float> ? 1e-5 : 1e-13;  // the issue's; double: a few hundred roundings
  CHECK(error(exact.o, o.data()) < tolerance);

  kernels::AttentionGradient<T> gradient{heads(q.data(), c.queries),
                                         heads(k.data(), c.keys),
                                         heads(v.data(), c.keys),
                                         heads(static_cast<const T*>(o.data()), c.queries),
                                         heads(dout.data(), c.queries),
                                         logsums.data(),
                                         heads(dq.data(), c.queries),
                                         heads(dk.data(), c.keys),
                                         heads(dv.data(), c.keys),
                                         false,
                                         false,
                                         false,
                                         c.bias_sequences > 0 ? dbias.data() : nullptr,
                                         false};
  scratch.assign(at(kernels::attention_backward_scratch<Arch>(shape, terms, gradient.dbias != nullptr, 1)), std::numeric_limits<T>::quiet_NaN());
  for (const int times : {1, 2}) {
    CAPTURE(times);
    kernels::attention_backward<Arch, T>(1, shape, terms, gradient, scratch.data());
    CHECK((dq.intact() && dk.intact() && dv.intact() && dbias.intact()));
    const auto check = [&](const std::vector<double>& expected, const test::Guarded<T>& got) {
      std::vector<double> sum = expected;
      for (double& each : sum) each *= times;
      CHECK(error(sum, got.data()) < tolerance);
    };
    check(exact.dq, dq);
    check(exact.dk, dk);
    check(exact.dv, dv);
    check(exact.dbias, dbias);
    gradient.add_q = gradient.add_k = gradient.add_v = gradient.add_bias = true;
  }
}

}  // namespace

TEST_CASE_TEMPLATE_DEFINE("attention", Kind, attention) {
  using T = typename Kind::T;
  using Arch = typename Kind::Arch;
  // Lengths on both sides of tiles, registers and blocks; head sizes that are, and are not, whole registers.
  for (const Index length : {1, 2, 5, 16, 17, 49, 64, 65, 129, 257}) check<T, Arch>({1, 2, length, length, 8});
  for (const Index size : {1, 3, 8, 16, 20, 32, 64, 80, 128}) check<T, Arch>({1, 1, 33, 33, size});
  check<T, Arch>({1, 2, 33, 33, 1});  // a last key beyond whole registers, whose heads are apart
  check<T, Arch>({3, 2, 7, 50, 16});
  check<T, Arch>({2, 1, 130, 9, 12});
  check<T, Arch>({1, 1, 1, 300, 32});
}
TEST_CASE_TEMPLATE_APPLY(attention, test::OnEach);

TEST_CASE_TEMPLATE_DEFINE("attention: masks and biases", Kind, masked_attention) {
  using T = typename Kind::T;
  using Arch = typename Kind::Arch;
  for (const Index length : {1, 17, 65, 150, 270}) {
    check<T, Arch>({1, 2, length, length, 8, true});
    check<T, Arch>({2, 1, length, length, 16, false, 1});
    check<T, Arch>({2, 1, length, length, 16, false, 0, 2});
  }
  check<T, Arch>({6, 2, 20, 35, 8, true, 3, 2});
  check<T, Arch>({40, 1, 9, 9, 8, false, 1, 4});  // many sequences share a bias
  check<T, Arch>({1, 1, 40, 20, 8, true});        // the first queries see nothing
  check<T, Arch>({1, 1, 300, 130, 8, true, 1, 1});
}
TEST_CASE_TEMPLATE_APPLY(masked_attention, test::OnEach);

TEST_CASE_TEMPLATE_DEFINE("attention: every length and head size", Kind, every_length) {
  using T = typename Kind::T;
  using Arch = typename Kind::Arch;
  for (Index length = 1; length <= 257; length += length < 70 ? 3 : 17) check<T, Arch>({1, 1, length, length, 24});
  for (Index size = 8; size <= 128; size += 8) check<T, Arch>({1, 1, 21, 21, size, true, 1, 1});
  for (const Index length : {17, 65, 197, 257}) {
    for (const Index size : {8, 64, 128}) {
      check<T, Arch>({1, 1, length, length, size});
      check<T, Arch>({2, 1, length, length, size, true, 1, 2});
    }
  }
  check<T, Arch>({1, 1, 1024, 1024, 64});
}
TEST_CASE_TEMPLATE_APPLY(every_length, test::FloatOnEach);

TEST_CASE("attention: NaN and infinite logits") {
  for (const Index keys : {3, 17, 300}) {  // at 17 the last one is a dot product, at 300 in the second block
    CAPTURE(keys);
    const kernels::AttentionShape<float> shape{1, 1, 2, keys, 4, 0.5f};
    std::vector<float> q(8, 1.0f), k(at(4 * keys), 1.0f), v(at(4 * keys), 2.0f), o(8), logsums(2);
    std::vector<float> scratch(at(kernels::attention_scratch(shape, 1)));
    const auto run = [&] {
      kernels::attention<simd::Native, float>(1, shape, {}, {q.data(), 2, 4, 4}, {k.data(), keys, 4, 4}, {v.data(), keys, 4, 4}, {o.data(), 2, 4, 4},
                                              logsums.data(), scratch.data());
    };
    run();
    for (const float each : o) CHECK(each == 2.0f);
    float& last = k[at(4 * keys - 3)];
    last = std::numeric_limits<float>::quiet_NaN();
    run();
    for (const float each : o) CHECK(std::isnan(each));
    last = 1e4f;  // logits that float's exp does not reach
    q[0] = q[1] = q[2] = q[3] = 1e4f;
    run();
    for (const float each : o) CHECK(each == 2.0f);
  }
}

TEST_CASE_TEMPLATE_DEFINE("attention: one key is all that a query sees, however large the logit", Kind, huge_logits) {
  using T = typename Kind::T;
  using Arch = typename Kind::Arch;
  // Scales that are no powers of two: what is rounded away of these logits is far more than an exponent can be.
  struct Case {
    Index keys, size;
    T factor;
  };
  for (const Case& row :
       {Case{1, 3, T(229376)}, {1, 3, T(163840)}, {1, 2, T(327680)}, {1, 2, T(393216)}, {1, 2, T(-393216)}, {17, 3, T(229376)}}) {
    const Index keys = row.keys, size = row.size;
    const T factor = row.factor;
    CAPTURE(keys);
    CAPTURE(size);
    CAPTURE(factor);
    const kernels::AttentionShape<T> shape{1, 1, 1, keys, size, T(1) / std::sqrt(static_cast<T>(size))};
    const Index all = keys * size, last = all - size;
    std::vector<T> q(at(size)), k(at(all)), v(at(all), T(2)), o(at(size)), logsum(1), dout(at(size), T(1)), dq(at(size)), dk(at(all)), dv(at(all));
    q[0] = factor, k[at(last)] = T(65536);
    std::vector<T> scratch(at(kernels::attention_scratch<Arch>(shape, 1)));
    const auto heads = [size](auto* data, Index length = 1) { return kernels::Heads<std::remove_pointer_t<decltype(data)>>{data, length, size, size}; };
    kernels::attention<Arch, T>(1, shape, {}, heads(std::as_const(q).data()), heads(std::as_const(k).data(), keys), heads(std::as_const(v).data(), keys),
                                heads(o.data()), logsum.data(), scratch.data());
    for (const T each : o) CHECK(each == T(2));
    CHECK(std::isfinite(logsum[0]));
    const kernels::AttentionGradient<T> gradient{heads(std::as_const(q).data()), heads(std::as_const(k).data(), keys), heads(std::as_const(v).data(), keys),
                                                 heads(std::as_const(o).data()), heads(std::as_const(dout).data()), logsum.data(),
                                                 heads(dq.data()), heads(dk.data(), keys), heads(dv.data(), keys), false, false, false, nullptr, false};
    scratch.assign(at(kernels::attention_backward_scratch<Arch>(shape, {}, false, 1)), T(0));
    kernels::attention_backward<Arch, T>(1, shape, {}, gradient, scratch.data());
    for (Index i = 0; i < size; ++i) {
      CHECK(dv[at(last + i)] == T(1));
      CHECK((dq[at(i)] == T(0) && dk[at(last + i)] == T(0)));  // one probability, which is 1 whatever the logit
    }
  }
}
TEST_CASE_TEMPLATE_APPLY(huge_logits, test::OnEach);

TEST_CASE("attention: a query that sees no key has the output 0, though a value is infinite") {
  const kernels::AttentionShape<float> shape{1, 1, 2, 1, 4, 0.5f, true};  // the second query alone sees the key
  const std::vector<float> q(8, 1.0f), k(4, 1.0f), v(4, INFINITY);
  std::vector<float> o(8), logsums(2), scratch(at(kernels::attention_scratch(shape, 1)));
  kernels::attention<simd::Native, float>(1, shape, {}, {q.data(), 2, 4, 4}, {k.data(), 1, 4, 4}, {v.data(), 1, 4, 4}, {o.data(), 2, 4, 4},
                                          logsums.data(), scratch.data());
  for (std::size_t i = 0; i < 4; ++i) CHECK((o[i] == 0.0f && o[4 + i] == INFINITY));
}
