// Two numbers side by side, or two pairs, with the operators of one: code written over F (see
// lanes.h) then works on all of them step by step, and what one waits for is done for the others
// meanwhile.
#pragma once

#include <stdint.h>

#include "block.h"
#include "lanes.h"

namespace tinymia {

template <typename T>
struct Pair {
  T a, b;

  Pair() = default;
  Pair(T first, T second) : a(first), b(second) {}
  template <typename S>
  Pair(S both) : a(both), b(both) {}
  template <typename U>
  explicit Pair(Pair<U> x) : a(x.a), b(x.b) {}

  friend Pair operator+(Pair x, Pair y) { return {x.a + y.a, x.b + y.b}; }
  friend Pair operator-(Pair x, Pair y) { return {x.a - y.a, x.b - y.b}; }
  friend Pair operator*(Pair x, Pair y) { return {x.a * y.a, x.b * y.b}; }
  friend Pair operator&(Pair x, Pair y) { return {x.a & y.a, x.b & y.b}; }
  friend Pair operator|(Pair x, Pair y) { return {x.a | y.a, x.b | y.b}; }
  friend Pair operator<<(Pair x, int bits) { return {x.a << bits, x.b << bits}; }
  friend Pair operator>>(Pair x, int bits) { return {x.a >> bits, x.b >> bits}; }
};

template <typename F>
struct Lanes<Pair<F>> {
  static constexpr uint32_t kCount = 2 * Lanes<F>::kCount;
  using Mask = Pair<MaskOf<F>>;
  using Int = Pair<IntOf<F>>;
  using Uint = Pair<UintOf<F>>;
};

template <typename F>
inline Pair<MaskOf<F>> operator<(Pair<F> x, Pair<F> y) {
  return {x.a < y.a, x.b < y.b};
}
template <typename Mask, typename T>
inline Pair<T> Select(Pair<Mask> mask, Pair<T> x, Pair<T> y) {
  return {Select(mask.a, x.a, y.a), Select(mask.b, x.b, y.b)};
}
template <typename F>
inline Pair<F> Larger(Pair<F> x, Pair<F> y) {
  return {Larger(x.a, y.a), Larger(x.b, y.b)};
}
template <typename F>
inline Pair<UintOf<F>> FloatToBits(Pair<F> x) {
  return {FloatToBits(x.a), FloatToBits(x.b)};
}
template <typename Uint>
inline auto BitsToFloat(Pair<Uint> x) {
  return Pair<decltype(BitsToFloat(x.a))>(BitsToFloat(x.a), BitsToFloat(x.b));
}
template <typename Int>
inline auto ToFloat(Pair<Int> x) {
  return Pair<decltype(ToFloat(x.a))>(ToFloat(x.a), ToFloat(x.b));
}

// One, two or four neighbours in memory.
template <typename F>
inline F Neighbours(Block<1>, const F* from) {
  return from[0];
}
template <typename F>
inline Pair<F> Neighbours(Block<2>, const F* from) {
  return {from[0], from[1]};
}
template <typename F>
inline Pair<Pair<F>> Neighbours(Block<4>, const F* from) {
  return {{from[0], from[1]}, {from[2], from[3]}};
}
template <typename F>
inline void Store(F x, F* to) {
  *to = x;
}
template <typename F>
inline void Store(Pair<F> x, F* to) {
  to[0] = x.a;
  to[1] = x.b;
}
template <typename F>
inline void Store(Pair<Pair<F>> x, F* to) {
  Store(x.a, to);
  Store(x.b, to + 2);
}

}  // namespace tinymia
