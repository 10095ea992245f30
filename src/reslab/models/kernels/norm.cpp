// Batch normalization, the addition of a shortcut and the ReLU, in as few passes over memory as possible.
//
// Tensors are channels-last: rows = batch * height * width pixels of C channels each, bfloat16 or float32. Sums are
// taken in float over blocks and in double over all. A fixed number of threads gives the same bits every time.

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <omp.h>
#include <vector>

namespace {

struct bf16 {
  uint16_t bits;
};

inline float to_float(float value) { return value; }
inline float to_float(bf16 value) {
  uint32_t bits = uint32_t(value.bits) << 16;
  float result;
  std::memcpy(&result, &bits, 4);
  return result;
}

inline void put(float &place, float value) { place = value; }
inline void put(bf16 &place, float value) {
  uint32_t bits;
  std::memcpy(&bits, &value, 4);
  // to the nearest, ties to even; NaNs from arithmetic stay NaNs
  place.bits = uint16_t((bits + 0x7fff + ((bits >> 16) & 1)) >> 16);
}

// Rows are processed `fold` at a time, which keeps the inner loops long with few channels too: lane i of a group
// belongs to channel i % C.
constexpr long LANES = 256;
constexpr long GROUPS_PER_BLOCK = 256; // summed in float before they are added in double

inline long fold_of(long C) {
  long fold = 1;
  while (C * fold < LANES)
    fold *= 2;
  return fold;
}

struct Span {
  long begin, end;
};

inline Span rows_of_thread(long rows, long fold) {
  long groups = rows / fold, threads = omp_get_num_threads(), thread = omp_get_thread_num();
  Span span{groups * thread / threads * fold, groups * (thread + 1) / threads * fold};
  if (thread == threads - 1)
    span.end = rows;
  return span;
}

template <class F> void for_each_group(long rows, long C, F body) {
  long fold = fold_of(C);
#pragma omp parallel
  {
    Span span = rows_of_thread(rows, fold);
    for (long row = span.begin; row < span.end; row += fold)
      body(row * C, std::min(fold, span.end - row) * C);
  }
}

// body(offset, length, a, b) adds two things per lane; sums: their totals per channel, [2, C]
template <class F> void sum_pairs(long rows, long C, double *sums, F body) {
  long fold = fold_of(C), wide = C * fold;
  std::vector<double> partial(2 * C * omp_get_max_threads(), 0.0);
  int num_threads = 1;
#pragma omp parallel
  {
#pragma omp single
    num_threads = omp_get_num_threads();
    Span span = rows_of_thread(rows, fold);
    double *mine = partial.data() + 2 * C * omp_get_thread_num();
    std::vector<float> lanes(2 * wide);
    float *a = lanes.data(), *b = a + wide;
    for (long row = span.begin; row < span.end;) {
      long stop = std::min(span.end, row + GROUPS_PER_BLOCK * fold);
      std::fill(lanes.begin(), lanes.end(), 0.f);
      for (; row < stop; row += fold)
        body(row * C, std::min(fold, stop - row) * C, a, b);
      row = stop;
      for (long part = 0; part < wide; part += C)
        for (long c = 0; c < C; c++) {
          mine[c] += a[part + c];
          mine[C + c] += b[part + c];
        }
    }
  }
  for (long i = 0; i < 2 * C; i++) {
    sums[i] = 0;
    for (int thread = 0; thread < num_threads; thread++)
      sums[i] += partial[2 * C * thread + i];
  }
}

std::vector<float> per_lane(const float *per_channel, long C) {
  std::vector<float> lanes(C * fold_of(C));
  for (size_t i = 0; i < lanes.size(); i++)
    lanes[i] = per_channel[i % C];
  return lanes;
}

// mean and biased variance per channel, about a first sample so that nothing cancels
template <class T> void statistics(const T *x, long rows, long C, double *mean, double *variance) {
  std::vector<float> first(C);
  for (long c = 0; c < C; c++)
    first[c] = to_float(x[c]);
  std::vector<float> lanes = per_lane(first.data(), C);
  const float *shift = lanes.data();
  std::vector<double> sums(2 * C);
  sum_pairs(rows, C, sums.data(), [=](long at, long n, float *__restrict a, float *__restrict b) {
    const T *__restrict xs = x + at;
#pragma omp simd
    for (long i = 0; i < n; i++) {
      float v = to_float(xs[i]) - shift[i];
      a[i] += v;
      b[i] += v * v;
    }
  });
  for (long c = 0; c < C; c++) {
    double m = sums[c] / rows;
    mean[c] = m + first[c];
    variance[c] = std::max(0.0, sums[C + c] / rows - m * m);
  }
}

template <class T, bool ADDS, bool RELU>
void apply(const T *x, const T *addend, T *y, long rows, long C, const float *scale, const float *shift) {
  std::vector<float> scales = per_lane(scale, C), shifts = per_lane(shift, C);
  const float *a = scales.data(), *b = shifts.data();
  for_each_group(rows, C, [=](long at, long n) {
    const T *__restrict xs = x + at;
    const T *__restrict rs = addend + at;
    T *__restrict ys = y + at;
#pragma omp simd
    for (long i = 0; i < n; i++) {
      float v = to_float(xs[i]) * a[i] + b[i];
      if (ADDS)
        v += to_float(rs[i]);
      if (RELU)
        v = v < 0.f ? 0.f : v; // a NaN stays one
      put(ys[i], v);
    }
  });
}

// kept for the backward pass: mean, 1 / deviation, scale, shift; [4, C]
template <class T>
void forward(const T *x, const T *addend, T *y, long rows, long C, const float *weight, const float *bias, float *kept,
             float *running_mean, float *running_var, double momentum, double eps, bool relu) {
  float *mean = kept, *inverse = kept + C, *scale = kept + 2 * C, *shift = kept + 3 * C;
  std::vector<double> moments(2 * C); // means, then variances
  statistics(x, rows, C, moments.data(), moments.data() + C);
  for (long c = 0; c < C; c++) {
    double m = moments[c], v = moments[C + c], i = 1 / std::sqrt(v + eps);
    mean[c] = float(m);
    inverse[c] = float(i);
    scale[c] = float(weight[c] * i);
    shift[c] = float(bias[c] - m * weight[c] * i);
    running_mean[c] += float(momentum * (m - running_mean[c]));
    running_var[c] += float(momentum * (v * rows / (rows - 1) - running_var[c]));
  }
  auto form = addend ? (relu ? apply<T, true, true> : apply<T, true, false>)
                     : (relu ? apply<T, false, true> : apply<T, false, false>);
  form(x, addend, y, rows, C, scale, shift);
}

// The ReLU's mask is read from y after an addition, and computed from x again without an addition (y is then null).
template <class T, bool ADDS, bool RELU>
void backward(const T *dy, const T *y, const T *x, T *dx, T *d_addend, long rows, long C, const float *weight,
              const float *kept, float *d_weight, float *d_bias) {
  const float *mean = kept, *inverse = kept + C;
  std::vector<float> means = per_lane(mean, C), scales = per_lane(kept + 2 * C, C), shifts = per_lane(kept + 3 * C, C);
  const float *m = means.data(), *a = scales.data(), *b = shifts.data();
  std::vector<double> sums(2 * C);
  sum_pairs(rows, C, sums.data(), [=](long at, long n, float *__restrict s, float *__restrict t) {
    const T *__restrict gs = dy + at;
    const T *__restrict ys = y + at;
    const T *__restrict xs = x + at;
#pragma omp simd
    for (long i = 0; i < n; i++) {
      float g = to_float(gs[i]), v = to_float(xs[i]);
      if (RELU)
        g = (ADDS ? to_float(ys[i]) : v * a[i] + b[i]) > 0.f ? g : 0.f;
      s[i] += g;
      t[i] += g * (v - m[i]);
    }
  });
  // dx = scale * (g - mean(g) - normalised * mean(g * normalised)), as one line in g and x
  std::vector<float> by_x(C), constant(C);
  for (long c = 0; c < C; c++) {
    double i = inverse[c], scale = weight[c] * i, slope = -scale * sums[C + c] * i * i / rows;
    d_bias[c] = float(sums[c]);
    d_weight[c] = float(sums[C + c] * i);
    by_x[c] = float(slope);
    constant[c] = float(-scale * sums[c] / rows - slope * mean[c]);
  }
  std::vector<float> slopes = per_lane(by_x.data(), C), constants = per_lane(constant.data(), C);
  const float *p = slopes.data(), *q = constants.data();
  for_each_group(rows, C, [=](long at, long n) {
    const T *__restrict gs = dy + at;
    const T *__restrict ys = y + at;
    const T *__restrict xs = x + at;
    T *__restrict dxs = dx + at;
    T *__restrict drs = d_addend + at;
#pragma omp simd
    for (long i = 0; i < n; i++) {
      float g = to_float(gs[i]), v = to_float(xs[i]);
      if (RELU)
        g = (ADDS ? to_float(ys[i]) : v * a[i] + b[i]) > 0.f ? g : 0.f;
      if (ADDS && RELU)
        put(drs[i], g); // without a ReLU it is dy itself
      put(dxs[i], a[i] * g + p[i] * v + q[i]);
    }
  });
}

} // namespace

#define EXPORT(T, NAME)                                                                                                \
  extern "C" void forward_##NAME(const T *x, const T *addend, T *y, long rows, long C, const float *weight,            \
                                 const float *bias, float *kept, float *running_mean, float *running_var,              \
                                 double momentum, double eps, int relu) {                                              \
    forward<T>(x, addend, y, rows, C, weight, bias, kept, running_mean, running_var, momentum, eps, relu != 0);        \
  }                                                                                                                    \
  extern "C" void backward_##NAME(const T *dy, const T *y, const T *x, T *dx, T *d_addend, long rows, long C,          \
                                  const float *weight, const float *kept, float *d_weight, float *d_bias, int adds,    \
                                  int relu) {                                                                          \
    auto form = adds ? (relu ? backward<T, true, true> : backward<T, true, false>)                                     \
                     : (relu ? backward<T, false, true> : backward<T, false, false>);                                  \
    form(dy, y, x, dx, d_addend, rows, C, weight, kept, d_weight, d_bias);                                             \
  }

EXPORT(bf16, bf16)
EXPORT(float, f32)
