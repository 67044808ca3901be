// What becomes of one example's gradient: functors for LayerGradient. Mask is Always, or the lanes
// that have an example.
#pragma once

#include <stddef.h>

#include "gaussian.h"
#include "lanes.h"

namespace tinymia {

template <typename F, typename Mask>
struct SetGradient {  // the first of a batch
  Mask mask;
  F operator()(F old, F g) const { return Select(mask, g, old); }
};

template <typename F, typename Mask>
struct AddGradient {
  Mask mask;
  F operator()(F sum, F g) const { return Select(mask, sum + g, sum); }
};

// A batch of one goes straight into the parameters; the rate is in the gradient already.
template <typename F, typename Mask>
struct Descend {
  Mask mask;
  F operator()(F w, F step) const { return Select(mask, w - step, w); }
};

// Lanes of DP-SGD keep whole numbers of units in the bits of the sum, so that the sum is exact; the
// others a float. `first` is the first of a batch (a private sum starts at zero instead).
template <typename F, typename Mask>
struct AddPrivate {
  Mask mask;
  MaskOf<F> is_private;
  F to_units;
  bool first;
  F operator()(F sum, F g) const {
    const F units = g * to_units;
    // Clipping bounds it; what is not a number counts for nothing.
    const F whole = Select(units * units < F(2.0f * kNoiseGrid * kNoiseGrid), units, F(0.0f));
    const F exact = IntToBits(BitsToInt(sum) + RoundToInt(whole));
    return Select(mask, Select(is_private, exact, first ? g : sum + g), sum);
  }
};

// One example's, as sums take them (see DenseGradientTogether).
template <typename F, typename Combine>
struct CombineOne {
  static constexpr bool kFresh = false;
  F* to;
  Combine combine;
  F Start(size_t i) const { return to[i]; }
  F Add(size_t, F old, F g) const { return combine(old, g); }
  void Finish(size_t i, F now) const { to[i] = now; }
};

// The same over several examples, see DenseGradientTogether.
template <typename F>
struct SetSums {  // the first of a batch
  static constexpr bool kFresh = true;
  F* to;
  SetSums From(size_t i) const { return {to + i}; }
  F Add(size_t, F sum, F g) const { return sum + g; }
  void Finish(size_t i, F sum) const { to[i] = sum; }
};

template <typename F>
struct AddSums {
  static constexpr bool kFresh = false;
  F* to;
  AddSums From(size_t i) const { return {to + i}; }
  F Start(size_t i) const { return to[i]; }
  F Add(size_t, F sum, F g) const { return sum + g; }
  void Finish(size_t i, F sum) const { to[i] = sum; }
};

// A whole batch, and the plain step behind it.
template <typename F>
struct DescendSums {
  static constexpr bool kFresh = true;
  F step;
  F* parameters;
  DescendSums From(size_t i) const { return {step, parameters + i}; }
  F Add(size_t, F sum, F g) const { return sum + g; }
  void Finish(size_t i, F sum) const { parameters[i] = parameters[i] - step * sum; }
};

template <typename F>
struct AddPrivateSums {
  static constexpr bool kFresh = false;
  F* to;
  MaskOf<F> is_private;
  F to_units;
  bool first;  // of a batch
  AddPrivateSums From(size_t i) const { return {to + i, is_private, to_units, first}; }
  F Start(size_t i) const { return to[i]; }
  F Add(size_t b, F sum, F g) const {
    return AddPrivate<F, Always>{{}, is_private, to_units, first && b == 0}(sum, g);
  }
  void Finish(size_t i, F sum) const { to[i] = sum; }
};

// The same where some lanes lack some of the examples.
template <typename F, typename Sums>
struct MaskedSums {
  static constexpr bool kFresh = false;
  Sums sums;
  const MaskOf<F>* masks;  // [examples]
  MaskedSums From(size_t i) const { return {sums.From(i), masks}; }
  F Start(size_t i) const { return sums.to[i]; }
  F Add(size_t b, F sum, F g) const {
    return Select(masks[b], Sums::kFresh && b == 0 ? g : sums.Add(b, sum, g), sum);
  }
  void Finish(size_t i, F sum) const { sums.to[i] = sum; }
};

}  // namespace tinymia
