/// \file
/// One forward computation and its values: Pass, of which Tape can run backwards and Inference only forwards, and Var, a
/// handle of one value in it.
#pragma once

#include <algorithm>
#include <initializer_list>
#include <new>
#include <optional>
#include <type_traits>
#include <utility>

#include "tombola/core/arena.hpp"
#include "tombola/core/context.hpp"
#include "tombola/core/gate.hpp"
#include "tombola/core/random.hpp"
#include "tombola/core/tensor.hpp"

namespace tombola::inline TOMBOLA_ISA {

template <class T>
class Pass;

/// Which mean and variance normalisation layers use. Those of the `batch` enter the running ones with a momentum; `running`: what
/// was seen before; `collect`: those of the batch, of which the running ones become the average, by the batches' rows.
enum class Normalisation : std::uint8_t { batch, running, collect };

/// How a pass reads gates and normalises, and which noise it draws. Nothing of this is kept inside layers.
struct PassOptions {
  std::optional<Reading> gates = std::nullopt;  ///< by default a Tape samples them, and Inference reads them as binary; only sampled gates get a gradient
  std::uint64_t seed = 0;  ///< of the noise
  std::uint32_t step = 0;  ///< draws are a function of (seed, layer, step) alone: each step of a search has its own, or all draw the same gates
  std::optional<Normalisation> normalisation = std::nullopt;  ///< by default `batch` in a Tape, `running` in Inference
  bool checks_finite = false;  ///< layers throw `std::runtime_error` at their first output that is not finite
};

/// One value of a pass: what an op computed, and what arrives as its gradient.
template <class T>
struct Node {
  View<const T> value;
  Tensor<T> storage;  ///< owns `value`, unless the value is borrowed from outside
  View<T> gradient;   ///< d loss / d value, once `has_gradient`
  Tensor<T> gradient_storage;
  bool needs_gradient = false;
  bool has_gradient = false;
  const bool* outside_has_gradient = nullptr;  ///< for a gradient kept outside: whether earlier passes left one to add to
  std::uint32_t handles = 0;                   ///< how many Var, and values borrowed from this one, refer to it
  Node* owner = nullptr;                       ///< whose elements `value` borrows, if they are another node's
  Node* previous = nullptr;                    ///< the node that the pass made before this one
  const void* restore = nullptr;               ///< a step that computes `value` again: it need not be kept for backward
  void (*run_restore)(const void*, Pass<T>&) = nullptr;

  const Shape& shape() const noexcept { return value.shape(); }
  Index size() const noexcept { return value.size(); }
  /// Where the op that makes this value writes it.
  T* output() noexcept { return storage.data(); }
};

/// A handle of one value in a pass. Cheap to copy. Valid as long as the pass. In an Inference pass the value is dropped with its last
/// handle; in a Tape that holds for values that an op can compute again in backward.
template <class T>
class Var {
 public:
  Var() = default;
  explicit operator bool() const noexcept { return node_ != nullptr; }
  Var(Pass<T>& pass, Node<T>& node) noexcept : pass_(&pass), node_(&node) { ++node.handles; }
  Var(const Var& other) noexcept : pass_(other.pass_), node_(other.node_) {
    if (node_ != nullptr) ++node_->handles;
  }
  Var(Var&& other) noexcept : pass_(std::exchange(other.pass_, nullptr)), node_(std::exchange(other.node_, nullptr)) {}
  Var& operator=(Var other) noexcept {
    std::swap(pass_, other.pass_);
    std::swap(node_, other.node_);
    return *this;
  }
  ~Var() {
    if (node_ != nullptr && --node_->handles == 0) pass_->unused(*node_);
  }

  const Shape& shape() const noexcept { return node_->shape(); }
  /// The values, borrowed as long as the Var and the pass.
  View<const T> value() const noexcept { return node_->value; }
  /// The only value. Throws `std::invalid_argument` unless there is exactly one.
  T item() const {
    require(shape().size() == 1, "item: expected one value, got ", shape());
    return node_->value[0];
  }
  Pass<T>& pass() const noexcept { return *pass_; }
  Node<T>* node() const noexcept { return node_; }
  bool needs_gradient() const noexcept { return node_->needs_gradient; }

 private:
  Pass<T>* pass_ = nullptr;
  Node<T>* node_ = nullptr;
};

/// Throws `std::invalid_argument` "name: expected values of one pass" if a and b are of two, or one is empty: an op's inputs are not.
template <class T>
void require_one_pass(const char* name, const Var<T>& a, const Var<T>& b) {
  require(bool(a) && bool(b), name, ": expected values of one pass, got an empty Var");
  require(&a.pass() == &b.pass(), name, ": expected values of one pass, got values of two");
}

/// Where a backward step writes a gradient: `into = ... + beta into`. The first gradient of a node writes, later ones add.
template <class T>
struct Accumulator {
  View<T> into;
  T beta;
};

/// One forward computation. Ops create their results in it and say how to go back.
template <class T>
class Pass {
 public:
  Pass(const Pass&) = delete;
  Pass& operator=(const Pass&) = delete;

  Context& context() const noexcept { return *context_; }
  const Threads& threads() const noexcept { return context_->threads(); }
  /// The options, with the reading that they left open.
  const PassOptions& options() const noexcept { return options_; }
  Reading reading() const noexcept { return *options_.gates; }
  Normalisation normalisation() const noexcept { return *options_.normalisation; }
  /// Whether a backward pass may follow.
  bool records() const noexcept { return records_; }

  /// A value from outside that needs no gradient; borrowed as long as the pass.
  Var<T> input(View<const T> value) {
    Node<T>& node = new_node();
    node.value = value;
    return {*this, node};
  }
  /// A value from outside that this pass takes over.
  Var<T> input(Tensor<T>&& value) {
    Node<T>& node = new_node();
    node.storage = std::move(value);
    node.value = node.storage;
    return {*this, node};
  }

  // --- for ops -------------------------------------------------------------------------------------------------------

  /// An uninitialised result of an op. `needs_gradient`: whether one of the op's inputs does.
  [[gnu::noinline]] Var<T> result(const Shape& shape, bool needs_gradient) {
    Node<T>& node = new_node();
    node.storage = Tensor<T>::uninitialized(shape, context_->pool());
    node.value = node.storage;
    node.needs_gradient = needs_gradient && records_;
    return {*this, node};
  }
  /// A result that borrows its elements: from outside, or from another node, which is kept as long as the result.
  [[gnu::noinline]] Var<T> alias(View<const T> value, bool needs_gradient, Node<T>* owner = nullptr) {
    Node<T>& node = new_node();
    node.value = value;
    node.needs_gradient = needs_gradient && records_;
    node.owner = owner;
    if (owner != nullptr) ++owner->handles;
    return {*this, node};
  }
  Var<T> alias(const Tensor<T>&& value, bool needs_gradient, Node<T>* owner = nullptr) = delete;  // it would be gone
  /// A buffer from the pass's pool.
  Tensor<T> buffer(const Shape& shape) { return Tensor<T>::uninitialized(shape, context_->pool()); }

  /// Says how to go back from `y`: `step(pass)` runs when y's gradient is complete. Nothing is kept if y needs no gradient. To be said before
  /// another op reads y; several steps of one y, one after the other.
  /// The step captures nodes, numbers, and views of memory outside of the pass, by value; it reads another node's values through
  /// `node->value`, since they may have been dropped and computed again in the meantime (restore_step).
  template <class Step>
  void backward_step(const Var<T>& y, const Step& step) {
    static_assert(std::is_trivially_destructible_v<Step>,
                  "a backward step captures nodes, numbers and views of memory outside of the pass by value: it is never destroyed");
    if (!y.needs_gradient()) return;
    record(*y.node(), keep(step), run<Step>, false);
  }
  /// Says what must hold for this pass to run backwards: `check(pass)` throws where it does not, before any gradient is touched. Captures as
  /// backward steps do.
  template <class Check>
  void backward_check(const Check& check) {
    static_assert(std::is_trivially_destructible_v<Check>, "a check captures by value: it is never destroyed");
    last_check_ = new (arena_.take(sizeof(Recorded), alignof(Recorded))) Recorded{last_check_, nullptr, keep(check), run<Check>, false};
  }
  /// Says how to compute the values of `y` again from those of `from`, cheaply: they are dropped with the last Var that refers to them, and come
  /// back before the backward step of their last reader. `step(pass)` writes all of `y.node()->output()`, the same bits as before. `from` is all
  /// that it reads; empty Vars do not count. They are not dropped if values of `from` may be dropped themselves: these would not be back in time.
  template <class Step>
  void restore_step(const Var<T>& y, std::initializer_list<Var<T>> from, const Step& step) {
    static_assert(std::is_trivially_destructible_v<Step>,
                  "a restoring step captures nodes, numbers and views of memory outside of the pass by value: it is never destroyed");
    const auto may_go = [](const Var<T>& x) { return x && x.node()->restore != nullptr; };
    if (!y.needs_gradient() || std::any_of(from.begin(), from.end(), may_go)) return;
    y.node()->restore = keep(step);
    y.node()->run_restore = run<Step>;
  }

  /// For a backward step: where the gradient of x goes. x needs one.
  [[gnu::noinline]] Accumulator<T> accumulate(Node<T>& x) {
    const bool first =
        !std::exchange(x.has_gradient, true) && (x.outside_has_gradient == nullptr || !*x.outside_has_gradient);
    if (x.gradient.data() == nullptr) {
      x.gradient_storage = buffer(x.shape());
      x.gradient = x.gradient_storage;
    }
    return {x.gradient, first ? T(0) : T(1)};
  }
  /// The same where a step adds to single elements: zeros at first.
  View<T> accumulate_from_zero(Node<T>& x) {
    const Accumulator<T> dx = accumulate(x);
    if (dx.beta == T(0)) std::fill_n(dx.into.data(), dx.into.size(), T(0));
    return dx.into;
  }
  /// Adds finished numbers, as many as x has elements: few, such as one a channel.
  void accumulate(Node<T>& x, const T* gradient) {
    const Accumulator<T> dx = accumulate(x);
    for (Index i = 0; i < dx.into.size(); ++i) dx.into[i] = gradient[i] + (dx.beta == T(0) ? T(0) : dx.into[i]);
  }
  /// The gradient of `y` goes to memory outside of the pass. It is added to what is there if `*has_gradient` by then.
  void gradient_into(const Var<T>& y, View<T> outside, const bool* has_gradient = nullptr) noexcept {
    y.node()->gradient = outside;
    y.node()->outside_has_gradient = has_gradient;
  }

  /// What `share` kept under this key, if it is still there: one value for every use of a parameter in the pass.
  [[gnu::noinline]] Var<T> shared(const void* key) {
    for (const Shared* each = last_shared_; each != nullptr; each = each->previous) {
      if (each->key == key && each->node->value.data() != nullptr) return {*this, *each->node};
    }
    return {};
  }
  [[gnu::noinline]] void share(const void* key, const Var<T>& value) {
    last_shared_ = new (arena_.take(sizeof(Shared), alignof(Shared))) Shared{last_shared_, key, value.node()};
  }

  /// For Var: its last handle is gone.
  [[gnu::noinline]] void unused(Node<T>& node) noexcept {
    if (!records_) {
      node.storage = {};
      node.value = {};
    } else if (node.restore != nullptr && !replays_) {
      try {  // all readers are recorded by now: in backward, this runs before them
        record(node, node.restore, node.run_restore, true);
      } catch (const std::bad_alloc&) {
        return;  // then it is kept
      }
      node.value = View<const T>(nullptr, node.shape());
      node.storage = {};
    }
  }

 protected:
  struct Recorded {
    Recorded* previous;
    Node<T>* y;
    const void* step;
    void (*run)(const void*, Pass&);
    bool restores;  ///< computes y's values again instead of the gradients of its inputs
  };

  struct Shared {
    Shared* previous;
    const void* key;
    Node<T>* node;
  };

  template <class Step>
  static void run(const void* at, Pass& pass) {
    (*static_cast<const Step*>(at))(pass);
  }
  template <class Step>
  const Step* keep(const Step& step) {
    return new (arena_.take(sizeof(Step), alignof(Step))) Step(step);
  }

  [[gnu::noinline]] void record(Node<T>& y, const void* step, void (*run)(const void*, Pass&), bool restores) {
    last_step_ = new (arena_.take(sizeof(Recorded), alignof(Recorded))) Recorded{last_step_, &y, step, run, restores};
  }

  [[gnu::noinline]] Pass(Context& context, const PassOptions& options, bool records)
      : context_(&context),
        options_(options),
        records_(records),
        arena_(context.pool()) {
    if (!options_.gates) options_.gates = records ? Reading::sampled : Reading::binary;
    if (!options_.normalisation) options_.normalisation = records ? Normalisation::batch : Normalisation::running;
  }
  [[gnu::noinline]] ~Pass() {
    while (last_node_ != nullptr) {
      Node<T>& node = *last_node_;
      last_node_ = node.previous;
      node.~Node();
    }
  }

  [[gnu::noinline]] Node<T>& new_node() {
    auto* node = new (arena_.take(sizeof(Node<T>), alignof(Node<T>))) Node<T>();
    node->previous = std::exchange(last_node_, node);
    return *node;
  }

  Context* context_;
  PassOptions options_;
  bool records_;
  bool replays_ = false;  ///< backward runs, or has run
  Arena arena_;
  Node<T>* last_node_ = nullptr;
  Recorded *last_step_ = nullptr, *last_check_ = nullptr;
  Shared* last_shared_ = nullptr;
};

/// A pass that keeps what backward needs: values, or how to compute them again, and the steps in the order of execution.
template <class T>
class Tape : public Pass<T> {
 public:
  /// Borrows the context.
  explicit Tape(Context& context, const PassOptions& options = {}) : Pass<T>(context, options, true) {}

  /// A value whose gradient is wanted; borrowed as long as the pass. Read it with `gradient` after `backward`.
  Var<T> variable(View<const T> value) { return with_gradient(this->input(value)); }
  /// The same of a value that this tape takes over.
  Var<T> variable(Tensor<T>&& value) { return with_gradient(this->input(std::move(value))); }

  /// Replays the steps backwards from d loss / d loss = 1. Each gradient, and each value that no Var refers to, is given
  /// back after its last reader, so a tape runs backwards once. Throws `std::invalid_argument` unless the loss is one value
  /// of this tape that depends on something with a gradient, and `std::logic_error` on a second call.
  void backward(const Var<T>& loss) {
    require(bool(loss), "backward: expected a value of this tape, got none");
    require(loss.shape().size() == 1, "backward: expected a loss of one value, got ", loss.shape());
    const T one(1);
    backward(loss, View<const T>(&one, loss.shape()));
  }
  /// The same from d loss / d y = dy, for a y of any shape.
  void backward(const Var<T>& y, View<const T> dy) {
    require(y && &y.pass() == this, "backward: expected a value of this tape");
    require(dy.shape() == y.shape(), "backward: expected dy ", y.shape(), ", got ", dy.shape());
    require(y.needs_gradient(), "backward: expected a value that depends on a parameter",
            this->reading() == Reading::sampled ? "" : "; this pass does not sample gates, so that they get no gradient");
    if (done_) throw std::logic_error("backward: this tape has run backwards already");
    for (const auto* check = this->last_check_; check != nullptr; check = check->previous) check->run(check->step, *this);
    done_ = true;
    const Accumulator<T> start = this->accumulate(*y.node());
    for (Index i = 0; i < dy.size(); ++i) start.into[i] = dy[i] + (start.beta == T(0) ? T(0) : start.into[i]);
    this->replays_ = true;
    for (const auto* step = this->last_step_; step != nullptr; step = step->previous) {
      Node<T>& result = *step->y;
      if (step->restores) {
        result.storage = this->buffer(result.shape());
        result.value = result.storage;
        step->run(step->step, *this);
        continue;
      }
      if (result.has_gradient) step->run(step->step, *this);
      if (step->previous != nullptr && step->previous->y == &result) continue;  // an op may leave several steps
      result.gradient_storage = {};
      result.gradient = {};
      result.has_gradient = false;
      if (result.handles != 0) continue;
      result.value = View<const T>(nullptr, result.shape());
      result.storage = {};
      if (result.owner != nullptr) --result.owner->handles;
    }
  }

  /// d loss / d x of a `variable` after `backward`; zeros if the loss does not depend on it, or for any other value of this tape.
  /// Throws `std::invalid_argument` for a value of another pass, or none.
  Tensor<T> gradient(const Var<T>& x) const {
    require(bool(x) && &x.pass() == this, "gradient: expected a value of this tape, got ", bool(x) ? "one of another" : "an empty Var");
    return x.node()->has_gradient ? Tensor<T>::copy_of(x.node()->gradient) : Tensor<T>(x.shape());
  }

 private:
  static Var<T> with_gradient(Var<T> x) noexcept {
    x.node()->needs_gradient = true;
    return x;
  }

  bool done_ = false;
};

/// A pass without a tape: nothing is recorded, and each value is dropped with its last handle.
template <class T>
class Inference : public Pass<T> {
 public:
  /// Borrows the context.
  explicit Inference(Context& context, const PassOptions& options = {}) : Pass<T>(context, options, false) {}
};

}  // namespace tombola::inline TOMBOLA_ISA
