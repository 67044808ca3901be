// The trained layers of a network, in float: parameters, activations and gradients of one device
// (F = float) or of many (F a vector, one lane each).
#pragma once

#include <stdint.h>
#include <string.h>

#include "../arena.h"
#include "../cold.h"
#include "combine.h"
#include "graph.h"
#include "kernels.h"
#include "kernels_together.h"
#include "layer.h"
#include "settings.h"
#include "together.h"

namespace tinymia {

// The most that any lane needs of something; where an image is built without, known to be nothing.
template <bool kThere, typename T = bool>
class Need {
 public:
  operator T() const { return most_; }
  void Raise(T needed) { most_ = needed > most_ ? needed : most_; }

 private:
  T most_{};
};
template <typename T>
class Need<false, T> {
 public:
  operator T() const { return T{}; }
  void Raise(T) {}
};

// What training needs beside plain SGD; over all lanes.
struct Needs {
  static constexpr bool kCompresses = kHasWeightBits || kHasPrune;
  static constexpr bool kAugments = kHasJitter || kHasScaling || kHasRotation || kHasShift;
  static constexpr bool kReshapes = kHasConfidencePenalty || kHasFocalLoss || kHasRelaxLoss;
  static constexpr bool kSlopes = kHasAdversary || kHasMmd;
  static constexpr bool kLooksAhead = kHasRelaxLoss || kHasAdversaryRate || kHasMmd;

  bool gradient = false;    // a buffer for a batch's gradient
  uint32_t moments = 0;     // arrays that the optimizer keeps
  Need<kHasPatience> best;  // a copy of the best parameters
  Need<kHasDropout> dropout;
  Need<kHasMixup> mixup;
  Need<kHasClipNorm> clipping;
  Need<kHasNoiseMultiplier> privacy;
  Need<kAugments> augmentation;
  Need<kHasHeads, uint32_t> heads;
  Need<kHasTeacherEpochs> teaching;  // a student's soft targets
  Need<kHasTeacherEpochs> own;       // of members, not of references
  Need<kHasReferences, uint32_t> references;
  Need<kReshapes || kSlopes> objective;  // another than the cross-entropy
  Need<kReshapes> reshaped;              // its gradient is, see Objective
  Need<kSlopes> slopes;  // it has terms that follow from the probabilities: one of these
  Need<kHasAdversary> adversary;
  Need<kHasMmd> likeness;
  Need<kHasAdversaryRate> rivalry;  // the adversary learns, too
  Need<kHasStacking> stacking;
  Need<kHasScreen> screening;
  // An objective, or another target than one label, evenly smoothed.
  Need<kHasMixup || kHasTeacherEpochs || kReshapes || kSlopes> bent;
  Need<kLooksAhead> batch_loss;  // an objective that needs to know the mini-batch's loss beforehand
  // Something is done before the examples of a step.
  Need<kLooksAhead || kHasNoiseMultiplier> preparation;
  Need<kCompresses> compression;
  Need<kHasShaped> shape;
  Need<kHasBasePull> pull;  // to where training starts

  // (Not in the planning, whose frame is part of the deepest stack.)
  TINYMIA_COLD __attribute__((noinline)) void Add(const TrainSettings& settings);
};

// Who watches the work of one device (not in lanes): `look` is called after `until` portions, and
// again after as many more as it says. A portion is a step, and in networks of several layers each
// layer of each example.
struct Watcher {
  using Look = uint32_t (*)(void* context);
  static uint32_t Never(void*) { return 0xFFFFFFFFu; }
  void Pass() {
    if (--until == 0) until = look(context);
  }
  Look look;
  void* context;
  uint32_t until;
};

template <typename F>
class Net {
 public:
  TINYMIA_COLD void Plan(const Graph& graph, uint32_t first, Trained trained, const Needs& needs,
                         Arena* arena);
  template <typename M = Always>
  void Reset(M mask = M());  // back to the base network

  void Watch(const Watcher& watcher) { watcher_ = watcher; }
  void Pass() {
    if constexpr (Lanes<F>::kCount == 1) watcher_.Pass();
  }

  uint32_t inputs() const { return graph_.layers[first_].inputs(); }
  uint32_t classes() const { return graph_.classes(); }
  uint32_t parameter_count() const { return count_; }
  F* input() { return input_ + turn() * stride_; }  // [inputs]: write it before Forward
  F* parameters() { return theta_; }
  const F* parameters() const { return theta_; }
  F* gradient() { return gradient_; }
  F* moment(uint32_t which) { return moments_ + which * count_; }
  F* best() { return best_; }
  // Behind Reset: a lane starts at these parameters, not at the base. One device (not in lanes)
  // reads them as long as it trains.
  void Start(uint32_t lane, const float* parameters);
  void ForgetStart() { start_ = nullptr; }
  const F* start() const { return start_; }  // nullptr: at the base
  // The last layer's inputs of this turn as its gradient sees them: in lanes of `mask` they become
  // those in the public shape, of which those behind its rows are 0.
  void Shape(MaskOf<F> mask, bool dropped);
  // The gradient in lanes of `mask` from there back to the layer's own inputs.
  void Unshape(MaskOf<F> mask);
  // Factors on the last layer's inputs: [dropout_size()], 0 or 1 / (1 - rate).
  F* dropout() { return dropout_; }
  uint32_t dropout_size() const { return last().inputs(); }

  const F* Forward(bool dropout = false);  // logits, [classes]
  // Those of other weights and biases, where the last layer alone is trained.
  void ForwardOf(const F* parameters, F* to) {
    const F* const x = input();
    const F* const none = nullptr;
    LayerForward(last(), x, none, parameters, parameters + last().weight_count, to);
  }
  // Gradient of the logits: write it.
  F* delta() { return work_[graph_.count - 1].dy + turn() * classes(); }

  // Vectors only: input(), logits() and delta() are those of example `turn`, below together(). 0:
  // one example after the other.
  uint32_t together() const { return together_; }
  void Turn(uint32_t turn) { turn_ = turn; }
  uint32_t turn() const { return Lanes<F>::kCount == 1 ? 0 : turn_; }
  void ForwardTogether(uint32_t n);
  const F* logits() const { return work_[graph_.count - 1].y + turn() * classes(); }
  // As Backward of n examples; with dropout of one. Squared norms of their gradients, unless
  // nullptr.
  void BackwardTogether(uint32_t n, F* norms, bool dropout = false);
  template <typename Sums>  // see DenseGradientTogether
  void AccumulateTogether(uint32_t n, Sums sums, const F* scales);

  // From delta() down. Afterwards every layer's delta is ready for Accumulate. Returns the squared
  // norm of the gradient over all that is trained, if it is asked for.
  F Backward(bool norm, bool dropout);
  void ScaleDeltas(F factor, MaskOf<F> drop);  // drop: to zero, whatever it was
  // The same, but for what is left to AccumulateTogether: its scale.
  F ScaleSomeDeltas(F factor, MaskOf<F> drop);
  // to[i] = combine(to[i], gradient[i]) over what is trained; `to` is laid out as parameters().
  template <typename Combine>
  void Accumulate(F* to, Combine combine);

  // Calls visit(first, count, is_weights, base) for each run of weights or biases in parameters();
  // `base`: the base network's.
  template <typename Visit>
  void ForEachRun(Visit visit) const;

 private:
  struct Work {
    F* y;   // output
    F* dy;  // its gradient
    const F* weights;
    const F* bias;
    uint32_t theta;  // first of its trained parameters
  };

  const Layer& last() const { return graph_.layers[graph_.count - 1]; }
  bool biases_only() const { return trained_ == Trained::kBiases; }
  // What input number `number` is, and where its gradient goes (nullptr: nowhere).
  const F* Input(uint32_t number) const {
    return number == first_number_ ? input_ + turn() * stride_ : work_[number - 1].y;
  }
  uint32_t InputStride(uint32_t number) const {
    return number == first_number_ ? stride_ : graph_.layers[number - 1].outputs();
  }
  F* InputDelta(uint32_t number) {
    return number == first_number_ ? nullptr : work_[number - 1].dy;
  }
  uint32_t HowManyTogether(const Needs& needs) const;
  bool GoesBackAtOnce(uint32_t layer) const;

  Graph graph_;
  uint32_t first_ = 0;
  uint32_t first_number_ = 0;  // number of the first layer's input
  Trained trained_ = Trained::kWeights;
  uint32_t together_ = 0;
  uint32_t turn_ = 0;
  uint32_t stride_ = 0;  // between the inputs of two examples
  uint32_t count_ = 0;
  uint32_t moments_count_ = 0;
  Work* work_ = nullptr;  // [graph.count]; those before first_ are not used
  F* input_ = nullptr;
  Watcher watcher_ = {&Watcher::Never, nullptr, 0};
  F* theta_ = nullptr;
  F* gradient_ = nullptr;
  F* moments_ = nullptr;
  F* best_ = nullptr;
  const F* start_ = nullptr;
  F* starts_ = nullptr;  // of lanes; where one is pulled to it
  F* dropout_ = nullptr;
  F* dropped_ = nullptr;  // the last layer's inputs behind dropout
  F* shaped_ = nullptr;   // room for them in the public shape
};

// Parameters that are not trained are read where they are; lanes share nothing, so each has a copy.
inline const float* Frozen(const float* base, uint32_t, Arena*, const float*) { return base; }
template <typename F>
const F* Frozen(const float* base, uint32_t count, Arena* arena, const F*) {
  F* copy = arena->AllocArray<F>(count);
  for (uint32_t i = 0; copy != nullptr && i < count; ++i) copy[i] = F(base[i]);
  return copy;
}

template <typename F>
void Net<F>::Plan(const Graph& graph, uint32_t first, Trained trained, const Needs& needs,
                  Arena* arena) {
  graph_ = graph;
  first_ = first;
  first_number_ = graph.layers[first].input;
  trained_ = trained;
  count_ = graph.TrainedCount(first, trained);
  moments_count_ = needs.moments;
  work_ = arena->AllocPointers<Work, 40>(graph.count);
  theta_ = arena->AllocArray<F>(count_);
  gradient_ = needs.gradient ? arena->AllocArray<F>(count_) : nullptr;
  moments_ = needs.moments == 0 ? nullptr : arena->AllocArray<F>(count_ * needs.moments);
  best_ = needs.best ? arena->AllocArray<F>(count_) : nullptr;
  starts_ = Lanes<F>::kCount > 1 && needs.pull ? arena->AllocArray<F>(count_) : nullptr;
  turn_ = 0;
  // (One more than a power of two: the same input of two examples lies in two sets of a cache.)
  stride_ = inputs() + (Lanes<F>::kCount > 1 && first + 1 == graph.count ? 1 : 0);
  together_ = Lanes<F>::kCount > 1 && needs.gradient ? HowManyTogether(needs) : 0;
  const uint32_t examples = together_ == 0 ? 1 : together_;
  input_ = arena->AllocArray<F>(stride_ * examples);
  dropout_ = needs.dropout ? arena->AllocArray<F>(last().inputs()) : nullptr;
  dropped_ = needs.dropout ? arena->AllocArray<F>(last().inputs()) : nullptr;
  shaped_ = needs.shape ? arena->AllocArray<F>(2 * last().inputs()) : nullptr;
  uint32_t theta = 0;
  for (uint32_t i = first; i < graph.count; ++i) {
    const Layer& layer = graph.layers[i];
    Work work = {};
    work.y = arena->AllocArray<F>(layer.outputs() * examples);
    work.dy = arena->AllocArray<F>(layer.outputs() * examples);
    work.theta = theta;
    const float* base = graph.parameters + layer.weights;
    // (theta_ is nullptr while the need is only counted.)
    if (layer.parametric() && theta_ != nullptr) {
      work.bias = theta_ + theta + (biases_only() ? 0 : layer.weight_count);
      if (!biases_only()) work.weights = theta_ + theta;
    }
    if (layer.parametric()) {
      if (biases_only()) {
        work.weights = Frozen(base, layer.weight_count, arena, static_cast<const F*>(nullptr));
      }
      theta += layer.bias_count + (biases_only() ? 0 : layer.weight_count);
    }
    if (work_ != nullptr) work_[i] = work;
  }
}

template <typename F>
template <typename Visit>
void Net<F>::ForEachRun(Visit visit) const {
  for (uint32_t i = first_; i < graph_.count; ++i) {
    const Layer& layer = graph_.layers[i];
    if (!layer.parametric()) continue;
    const uint32_t at = work_[i].theta;
    const uint32_t weights = biases_only() ? 0 : layer.weight_count;
    const float* base = graph_.parameters + layer.weights;
    if (weights != 0) visit(at, weights, true, base);
    visit(at + weights, layer.bias_count, false, base + layer.weight_count);
  }
}

template <typename F>
template <typename M>
void Net<F>::Reset(M mask) {
  for (uint32_t i = first_; i < graph_.count; ++i) {
    const Layer& layer = graph_.layers[i];
    if (!layer.parametric()) continue;
    const uint32_t frozen = biases_only() ? layer.weight_count : 0;
    const float* base = graph_.parameters + layer.weights + frozen;
    F* to = theta_ + work_[i].theta;
    const uint32_t n = layer.weight_count + layer.bias_count - frozen;
    for (uint32_t j = 0; j < n; ++j) to[j] = Select(mask, F(base[j]), to[j]);
  }
  for (uint32_t j = 0; j < count_ * moments_count_; ++j) {
    moments_[j] = Select(mask, F(0.0f), moments_[j]);
  }
}

template <typename F>
void Net<F>::Start(uint32_t lane, const float* parameters) {
  if constexpr (Lanes<F>::kCount == 1) {
    start_ = parameters;
  } else if (starts_ != nullptr) {
    // (Lanes that are not told another start are at the base.)
    if (start_ == nullptr) memcpy(starts_, theta_, count_ * sizeof *starts_);
    for (uint32_t i = 0; i < count_; ++i) SetLane(&starts_[i], lane, parameters[i]);
    start_ = starts_;
  }
  for (uint32_t i = 0; i < count_; ++i) SetLane(&theta_[i], lane, parameters[i]);
}

template <typename F>
const F* Net<F>::Forward(bool dropout) {
  for (uint32_t i = first_; i < graph_.count; ++i) {
    const Layer& layer = graph_.layers[i];
    const Work& work = work_[i];
    const F* x = Input(layer.input);
    const F* other = layer.kind == LayerKind::kAdd ? Input(layer.other) : nullptr;
    if (dropout && i + 1 == graph_.count) {
      for (uint32_t j = 0; j < layer.inputs(); ++j) dropped_[j] = x[j] * dropout_[j];
      x = dropped_;
    }
    LayerForward(layer, x, other, work.weights, work.bias, work.y);
  }
  return work_[graph_.count - 1].y;
}

template <typename F>
F Net<F>::Backward(bool norm, bool dropout) {
  F norm2 = F(0.0f);
  if constexpr (kTiles<F>) {
    if (together_ == 0 || first_ + 1 != graph_.count) {
      BackwardTogether(1, norm ? &norm2 : nullptr, dropout);
      return norm2;
    }
  }
  for (uint32_t i = first_; i + 1 < graph_.count; ++i) {
    F* dy = work_[i].dy;
    const uint32_t n = graph_.layers[i].outputs();
    for (uint32_t j = 0; j < n; ++j) dy[j] = F(0.0f);
    Pass();
  }
  for (uint32_t i = graph_.count; i-- > first_;) {
    const Layer& layer = graph_.layers[i];
    const Work& work = work_[i];
    const bool dropped = dropout && i + 1 == graph_.count;
    const F* x = dropped ? dropped_ : Input(layer.input);
    const uint32_t at = turn() * layer.outputs();
    ActivationBackward(layer, work.y + at, work.dy + at);
    if (norm && layer.parametric()) {
      norm2 = norm2 + LayerGradientNorm2(layer, x, work.dy + at, biases_only());
    }
    F* dx = InputDelta(layer.input);
    F* dother = layer.kind == LayerKind::kAdd ? InputDelta(layer.other) : nullptr;
    if (dx != nullptr || dother != nullptr) {
      LayerBackward(layer, x, work.y, work.weights, work.dy, dx, dother);
      if (dropped) {
        for (uint32_t j = 0; j < layer.inputs(); ++j) dx[j] = dx[j] * dropout_[j];
      }
    }
  }
  return norm2;
}

template <typename F>
void Net<F>::ScaleDeltas(F factor, MaskOf<F> drop) {
  if constexpr (Lanes<F>::kCount == 1) {
    if (!drop && factor == 1.0f) return;
  }
  for (uint32_t i = first_; i < graph_.count; ++i) {
    if (!graph_.layers[i].parametric()) continue;
    const uint32_t n = graph_.layers[i].outputs();
    F* dy = work_[i].dy + turn() * n;
    if (!Any(drop)) {
#pragma GCC unroll 4
      for (uint32_t j = 0; j < n; ++j) dy[j] = dy[j] * factor;
      continue;
    }
    for (uint32_t j = 0; j < n; ++j) dy[j] = Select(drop, F(0.0f), dy[j] * factor);
  }
}

template <typename F>
template <typename Combine>
void Net<F>::Accumulate(F* to, Combine combine) {
  for (uint32_t i = first_; i < graph_.count; ++i) {
    const Layer& layer = graph_.layers[i];
    if (!layer.parametric()) continue;
    const Work& work = work_[i];
    const bool dropped = dropped_ != nullptr && i + 1 == graph_.count;
    const F* x = dropped ? dropped_ : Input(layer.input);
    if constexpr (kTiles<F>) {
      LayerGradientTogether(layer, 1, x, 0, work.dy, biases_only(),
                            CombineOne<F, Combine>{to + work.theta, combine});
    } else {
      LayerGradient(layer, x, work.dy, biases_only(), to + work.theta, combine);
    }
  }
}

template <typename F>
void Net<F>::Shape(MaskOf<F> mask, bool dropped) {
  const PublicShape& shape = graph_.shape;
  F* x = dropped ? dropped_ : input();
  const uint32_t n = last().inputs();
  F* z = shaped_ + n;
  for (uint32_t j = 0; j < n; ++j) {
    shaped_[j] = x[j] - F(shape.mean[j]);
    z[j] = F(0.0f);
  }
  AddProducts(shaped_, n, shape.rows, n, shape.count, z, z);
  for (uint32_t j = 0; j < n; ++j) x[j] = Select(mask, z[j], x[j]);
}

template <typename F>
void Net<F>::Unshape(MaskOf<F> mask) {
  const PublicShape& shape = graph_.shape;
  const uint32_t n = last().inputs();
  F* bias = gradient_ + last().weight_count;
  for (uint32_t k = 0; k < classes(); ++k) {
    F* g = gradient_ + k * n;
    F moved = F(0.0f);
    for (uint32_t j = 0; j < n; ++j) shaped_[j] = F(0.0f);
    AddTransposed(g, shape.count, shape.rows, n, n, shaped_);
    for (uint32_t j = 0; j < n; ++j) {
      moved = moved + shaped_[j] * F(shape.mean[j]);
      g[j] = Select(mask, shaped_[j], g[j]);
    }
    bias[k] = Select(mask, bias[k] - moved, bias[k]);
  }
}

}  // namespace tinymia

#include "net_together.h"
