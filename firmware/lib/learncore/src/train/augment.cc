#include "augment.h"

#include "../fmath.h"
#include "../rng.h"

namespace tinymia {
namespace {

// What a block of random words is for; each has 2^24 blocks.
enum class Part : uint32_t { kShift = 0, kRotation = 1, kScaling = 2, kJitter = 3 };

// Standard normal numbers by Marsaglia's polar method.
class Normals {
 public:
  explicit Normals(const PhiloxStream& stream) : stream_(stream) {}

  // (One copy: it is long, and called from five places.)
  __attribute__((noinline)) float Next() {
    if (has_spare_) {
      has_spare_ = false;
      return spare_;
    }
    for (;;) {
      const float u = Symmetric();
      const float v = Symmetric();
      const float s = u * u + v * v;
      if (s >= 1.0f) continue;
      const float factor = Sqrt(-2.0f * Log(s) / s);
      spare_ = v * factor;
      has_spare_ = true;
      return u * factor;
    }
  }

 private:
  // Strictly between -1 and 1, never 0, every value exact.
  float Symmetric() {
    const int32_t x = static_cast<int32_t>(stream_.Next() >> 8) - 0x800000;
    return (static_cast<float>(x) + 0.5f) * 0x1p-23f;
  }

  PhiloxStream stream_;
  float spare_ = 0;
  bool has_spare_ = false;
};

struct Rotation {
  float m[3][3];
};

// Of the quaternion (1, x, y, z), normalised.
Rotation FromQuaternion(float x, float y, float z) {
  const float xx = x * x;
  const float yy = y * y;
  const float zz = z * z;
  const float a = 2.0f / (1.0f + xx + yy + zz);
  return {{{1.0f - a * (yy + zz), a * (x * y - z), a * (x * z + y)},
           {a * (x * y + z), 1.0f - a * (xx + zz), a * (y * z - x)},
           {a * (x * z - y), a * (y * z + x), 1.0f - a * (xx + yy)}}};
}

int8_t Saturate(float x, int32_t zero_point) {
  x = x > 512.0f ? 512.0f : x;
  x = x < -512.0f ? -512.0f : x;
  int32_t q = RoundToInt(x) + zero_point;
  q = q > 127 ? 127 : q;
  return static_cast<int8_t>(q < -128 ? -128 : q);
}

}  // namespace

void Augment(const TrainSettings& settings, const WindowShape& shape, uint32_t epoch,
             uint32_t position, const int8_t* in, int8_t* out) {
  const auto stream = [&](Part part) {
    return PhiloxStream(settings.seed, epoch, position, Purpose::kAugment,
                        static_cast<uint32_t>(part) << 24);
  };
  int32_t late = 0;
  if (settings.shift > 0) {
    const uint32_t drawn = stream(Part::kShift).Below(2u * settings.shift + 1);
    late = static_cast<int32_t>(drawn) - settings.shift;
  }
  Normals rotations(stream(Part::kRotation));
  Normals factors(stream(Part::kScaling));
  Normals noise(stream(Part::kJitter));
  const float jitter = settings.jitter > 0.0f ? settings.jitter / shape.scale : 0.0f;
  const uint32_t axes = shape.channels % 3 == 0 ? 3 : 1;
  const bool rotates = settings.rotation > 0.0f && axes == 3;
  const int32_t last = static_cast<int32_t>(shape.length) - 1;

  for (uint32_t c = 0; c < shape.channels; c += axes) {
    Rotation rotation = {};
    if (rotates) {
      const float half = 0.5f * settings.rotation;
      const float x = half * rotations.Next();
      const float y = half * rotations.Next();
      const float z = half * rotations.Next();
      rotation = FromQuaternion(x, y, z);
    }
    float factor[3] = {1.0f, 1.0f, 1.0f};
    if (settings.scaling > 0.0f) {
      for (uint32_t k = 0; k < axes; ++k) factor[k] = 1.0f + settings.scaling * factors.Next();
    }
    for (int32_t t = 0; t <= last; ++t) {
      int32_t from = t - late;
      from = from < 0 ? 0 : from;
      from = from > last ? last : from;
      const int8_t* source = in + static_cast<uint32_t>(from) * shape.channels + c;
      int8_t* target = out + static_cast<uint32_t>(t) * shape.channels + c;
      float value[3] = {};
      for (uint32_t k = 0; k < axes; ++k) {
        value[k] = static_cast<float>(source[k] - shape.zero_point);
      }
      for (uint32_t k = 0; k < axes; ++k) {
        float x = value[k];
        if (rotates) {
          const float* row = rotation.m[k];
          x = row[0] * value[0] + row[1] * value[1] + row[2] * value[2];
        }
        x = x * factor[k];
        if (jitter > 0.0f) x = x + jitter * noise.Next();
        target[k] = Saturate(x, shape.zero_point);
      }
    }
  }
}

}  // namespace tinymia
