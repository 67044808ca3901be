// Sums and maxima over a patch, for up to four neighbouring channels at a time: pooling and means.
#pragma once

#include <stdint.h>

#include "fixedpoint.h"
#include "kernels/dsp.h"

namespace tinymia {

// rows x columns points, `row_step` and `column_step` bytes apart, of neighbouring channels.
struct Patch {
  const int8_t* first;
  int32_t rows, columns;
  int32_t row_step, column_step;
};

inline int32_t ChannelSum(const Patch& patch, int32_t channel) {
  const int8_t* row = patch.first + channel;
  int32_t sum = 0;
  for (int32_t y = 0; y < patch.rows; ++y, row += patch.row_step) {
    const int8_t* at = row;
    for (int32_t x = 0; x < patch.columns; ++x, at += patch.column_step) sum += *at;
  }
  return sum;
}

inline int32_t ChannelMax(const Patch& patch, int32_t channel) {
  const int8_t* row = patch.first + channel;
  int32_t best = INT8_MIN;
  for (int32_t y = 0; y < patch.rows; ++y, row += patch.row_step) {
    const int8_t* at = row;
    for (int32_t x = 0; x < patch.columns; ++x, at += patch.column_step) {
      best = Max<int32_t>(best, *at);
    }
  }
  return best;
}

#if defined(TINYMIA_DSP)

inline int32_t Low(uint32_t pair) { return static_cast<int16_t>(pair & 0xffff); }
inline int32_t High(uint32_t pair) { return static_cast<int32_t>(pair) >> 16; }

// Channels [channel, channel + 4).
inline void FourChannelSums(const Patch& patch, int32_t channel, int32_t* sums) {
  constexpr int32_t kMaxPairs = 256;  // int8 values whose sum fits in 16 bits
  const int8_t* row = patch.first + channel;
  sums[0] = sums[1] = sums[2] = sums[3] = 0;
  uint32_t even = 0;
  uint32_t odd = 0;
  int32_t room = kMaxPairs;
  for (int32_t y = 0; y < patch.rows; ++y, row += patch.row_step) {
    const int8_t* at = row;
    for (int32_t left = patch.columns; left > 0;) {
      int32_t run = Min(left, room);
      left -= run;
      room -= run;
      for (; run > 0; --run, at += patch.column_step) {
        const uint32_t word = LoadWord(at);
        even = Sxtab16(even, word);
        odd = Sxtab16Odd(odd, word);
      }
      if (room > 0) continue;
      sums[0] += Low(even);
      sums[1] += Low(odd);
      sums[2] += High(even);
      sums[3] += High(odd);
      even = odd = 0;
      room = kMaxPairs;
    }
  }
  sums[0] += Low(even);
  sums[1] += Low(odd);
  sums[2] += High(even);
  sums[3] += High(odd);
}

inline void FourChannelMaxima(const Patch& patch, int32_t channel, int32_t* maxima) {
  const int8_t* row = patch.first + channel;
  uint32_t best = 0x80808080u;
  for (int32_t y = 0; y < patch.rows; ++y, row += patch.row_step) {
    const int8_t* at = row;
    for (int32_t x = 0; x < patch.columns; ++x, at += patch.column_step) {
      best = MaxBytes(best, LoadWord(at));
    }
  }
  for (int32_t i = 0; i < 4; ++i) maxima[i] = static_cast<int8_t>((best >> (8 * i)) & 0xff);
}

#endif

// Calls use(channel, sum) for every channel.
template <typename Use>
inline void ForEachSum(const Patch& patch, int32_t channels, Use use) {
  int32_t c = 0;
#if defined(TINYMIA_DSP)
  for (; c + 4 <= channels; c += 4) {
    int32_t sums[4];
    FourChannelSums(patch, c, sums);
    for (int32_t i = 0; i < 4; ++i) use(c + i, sums[i]);
  }
#endif
  for (; c < channels; ++c) use(c, ChannelSum(patch, c));
}

// Calls use(channel, largest value) for every channel.
template <typename Use>
inline void ForEachMax(const Patch& patch, int32_t channels, Use use) {
  int32_t c = 0;
#if defined(TINYMIA_DSP)
  for (; c + 4 <= channels; c += 4) {
    int32_t maxima[4];
    FourChannelMaxima(patch, c, maxima);
    for (int32_t i = 0; i < 4; ++i) use(c + i, maxima[i]);
  }
#endif
  for (; c < channels; ++c) use(c, ChannelMax(patch, c));
}

}  // namespace tinymia
