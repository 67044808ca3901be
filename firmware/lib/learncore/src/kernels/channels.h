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

// Values of four neighbouring channels.
struct FourValues {
  int32_t a, b, c, d;

  // Adds pairs of halfwords: of the channels at even and at odd places.
  void Add(uint32_t even, uint32_t odd) {
    a += static_cast<int16_t>(even & 0xffff);
    b += static_cast<int16_t>(odd & 0xffff);
    c += static_cast<int32_t>(even) >> 16;
    d += static_cast<int32_t>(odd) >> 16;
  }
  template <typename Use>
  void ForEach(int32_t channel, Use use) const {
    use(channel, a);
    use(channel + 1, b);
    use(channel + 2, c);
    use(channel + 3, d);
  }
};

// Channels [channel, channel + 4).
inline FourValues FourChannelSums(const Patch& patch, int32_t channel) {
  constexpr int32_t kMaxPairs = 256;  // int8 values whose sum fits in 16 bits
  const int8_t* row = patch.first + channel;
  FourValues sums = {0, 0, 0, 0};
  // A patch of one column is one of one row.
  const bool upright = patch.columns == 1;
  const int32_t rows = upright ? 1 : patch.rows;
  const int32_t columns = upright ? patch.rows : patch.columns;
  const int32_t step = upright ? patch.row_step : patch.column_step;
  uint32_t even = 0;
  uint32_t odd = 0;
  int32_t room = kMaxPairs;
  for (int32_t y = 0; y < rows; ++y, row += patch.row_step) {
    const int8_t* at = row;
    for (int32_t left = columns; left > 0;) {
      int32_t run = Min(left, room);
      left -= run;
      room -= run;
      for (; run > 0; --run, at += step) {
        const uint32_t word = LoadWord(at);
        even = Sxtab16(even, word);
        odd = Sxtab16Odd(odd, word);
      }
      if (room > 0) continue;
      sums.Add(even, odd);
      even = odd = 0;
      room = kMaxPairs;
    }
  }
  sums.Add(even, odd);
  return sums;
}

inline FourValues FourChannelMaxima(const Patch& patch, int32_t channel) {
  const int8_t* row = patch.first + channel;
  uint32_t best = 0x80808080u;
  for (int32_t y = 0; y < patch.rows; ++y, row += patch.row_step) {
    const int8_t* at = row;
    for (int32_t x = 0; x < patch.columns; ++x, at += patch.column_step) {
      best = MaxBytes(best, LoadWord(at));
    }
  }
  FourValues maxima = {0, 0, 0, 0};
  maxima.Add(Sxtb16(best), Sxtb16Odd(best));
  return maxima;
}

#endif

// Calls use(channel, sum) for every channel.
template <typename Use>
inline void ForEachSum(const Patch& patch, int32_t channels, Use use) {
  int32_t c = 0;
#if defined(TINYMIA_DSP)
  for (; c + 4 <= channels; c += 4) {
    FourChannelSums(patch, c).ForEach(c, use);
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
    FourChannelMaxima(patch, c).ForEach(c, use);
  }
#endif
  for (; c < channels; ++c) use(c, ChannelMax(patch, c));
}

}  // namespace tinymia
