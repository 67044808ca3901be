// The twin's vectors against floats, lane by lane; built once a width (TWIN_LANES).
#include <stdint.h>
#include <string.h>

#include <vector>

#include "fmath.h"
#include "load.h"
#include "philox.h"
#include "train/pair.h"
#include "train/rows.h"
#include "vec.h"

namespace {

using tinymia::Canonical;
using tinymia::FloatToBits;
using tinymia::GetLane;

constexpr uint32_t kLanes = TWIN_LANES;
using F = tinymia::Vec<kLanes>;

struct Exp {
  template <typename T>
  static T Of(T x) {
    return tinymia::Exp(x);
  }
};
struct Log {
  template <typename T>
  static T Of(T x) {
    return tinymia::Log(x);
  }
};
struct Root {
  template <typename T>
  static T Of(T x) {
    return tinymia::Sqrt(x);
  }
};
struct Round {
  template <typename T>
  static T Of(T x) {
    return tinymia::ToFloat(tinymia::RoundToInt(x));
  }
};
// Everything with a mask: the one that holds, the other, both, not, and a NaN's.
struct Choose {
  template <typename T>
  static T Of(T x) {
    const tinymia::MaskOf<T> low = x < T(0.5f);
    const tinymia::MaskOf<T> even = x == x;
    const T y = tinymia::Select(low & even, -x, x * x - T(3.0f) / x);
    return tinymia::Select((!low) | (x >= T(2.0f)), y, y + T(1.0f));
  }
};

// NaNs, equal numbers and zeros of both signs among them.
struct Most {
  template <typename T>
  static T Of(T x) {
    return tinymia::Larger(tinymia::Larger(-x, x * T(0.5f)), tinymia::Larger(x, x - x));
  }
};
// Four numbers side by side are the same as one after the other.
struct Pairs {
  static float Of(float x) { return tinymia::ExpOfNegative(x) + tinymia::Log(x); }
  static F Of(F x) {
    const F four[4] = {x + F(1.0f), x, x - F(1.0f), -x};
    const auto pairs = tinymia::Neighbours(tinymia::Block<4>(), four);
    F out[4];
    tinymia::Store(tinymia::ExpOfNegative(pairs) + tinymia::Log(pairs), out);
    return out[1];
  }
};

template <typename Function>
uint32_t Differences(const float* x, uint32_t n) {
  uint32_t wrong = 0;
  for (uint32_t i = 0; i + kLanes <= n; i += kLanes) {
    F in;
    memcpy(&in, x + i, sizeof in);
    const F out = Function::Of(in);
    for (uint32_t l = 0; l < kLanes; ++l) {
      const float one = Function::Of(x[i + l]);
      wrong += FloatToBits(Canonical(one)) == FloatToBits(Canonical(GetLane(out, l))) ? 0 : 1;
    }
  }
  return wrong;
}

}  // namespace

extern "C" {

// How many lanes differ from a float. n is a multiple of 16.
void vec_differences(const float* x, uint32_t n, uint32_t* wrong) {
  wrong[0] = Differences<Exp>(x, n);
  wrong[1] = Differences<Log>(x, n);
  wrong[2] = Differences<Root>(x, n);
  wrong[3] = Differences<Round>(x, n);
  wrong[4] = Differences<Choose>(x, n);
  wrong[5] = Differences<Most>(x, n);
  wrong[6] = Differences<Pairs>(x, n);
}

// rows: [16][n].
uint32_t vec_rows(const int8_t* rows, uint32_t n, float scale, int32_t zero_point) {
  const int8_t* lanes[kLanes];
  for (uint32_t l = 0; l < kLanes; ++l) lanes[l] = rows + l * n;
  alignas(64) F fast[256], plain[256];
  tinymia::LoadRows(lanes, n, scale, zero_point, fast);
  tinymia::LoadRows<F>(lanes, n, scale, zero_point, plain);
  return static_cast<uint32_t>(memcmp(fast, plain, n * sizeof(F)) != 0);
}

uint32_t vec_dropout(const uint64_t* seeds, const float* rates, const uint32_t* positions,
                     uint32_t epoch, uint32_t n) {
  tinymia::DropoutDraw draws[kLanes];
  for (uint32_t l = 0; l < kLanes; ++l) draws[l] = {seeds[l], rates[l], positions[l]};
  alignas(64) F fast[256], plain[256];
  tinymia::DrawDropout(draws, epoch, n, fast);
  tinymia::DrawDropout<F>(draws, epoch, n, plain);
  return static_cast<uint32_t>(memcmp(fast, plain, n * sizeof(F)) != 0);
}

// How many places differ between lanes that are shuffled side by side and one by one.
uint32_t vec_shuffle(const uint64_t* seeds, const uint32_t* counts, uint32_t epoch) {
  tinymia::ShuffleDraw draws[kLanes];
  std::vector<uint16_t> together[kLanes], alone[kLanes];
  for (uint32_t l = 0; l < kLanes; ++l) {
    for (uint32_t i = 0; i < counts[l]; ++i) together[l].push_back(static_cast<uint16_t>(7 * i));
    alone[l] = together[l];
    draws[l] = {seeds[l], together[l].data(), counts[l]};
    tinymia::Shuffle(seeds[l], epoch, alone[l].data(), counts[l]);
  }
  tinymia::ShuffleLanes(draws, epoch, F());
  uint32_t wrong = 0;
  for (uint32_t l = 0; l < kLanes; ++l) {
    for (uint32_t i = 0; i < counts[l]; ++i) wrong += together[l][i] == alone[l][i] ? 0 : 1;
  }
  return wrong;
}

uint32_t vec_masks(const uint8_t* bits) {
  tinymia::VecMask<kLanes> mask{};
  bool any = false, all = true;
  for (uint32_t l = 0; l < kLanes; ++l) {
    tinymia::SetLane(&mask, l, bits[l] != 0);
    any = any || bits[l] != 0;
    all = all && bits[l] != 0;
  }
  return static_cast<uint32_t>(Any(mask) != any) + static_cast<uint32_t>(All(mask) != all);
}
}
