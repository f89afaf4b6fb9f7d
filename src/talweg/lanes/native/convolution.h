// Convolutions of small images, stride 1, float32, on one thread.
//
// An image is laid on a grid with its padding around it, rows `wide` apart. There the input that
// meets weight (channel, i, j) at every place of the output is one run of memory, shifted: no
// columns are copied out. Outputs are computed on the grid as well, and those that fall between two
// rows are left behind.
#pragma once
#include <cstdlib>
#include <new>

#include "product.h"

namespace talweg {

struct Shape {
  int64_t samples, groups, inputs, outputs;  // channels are those of a group
  int64_t height, width, tall, broad;        // image, kernel
  int64_t pad_y, pad_x, step_y, step_x;      // padding and dilation

  int64_t high() const { return height + 2 * pad_y; }
  int64_t wide() const { return width + 2 * pad_x; }
  int64_t out_height() const { return high() - step_y * (tall - 1); }
  int64_t out_width() const { return wide() - step_x * (broad - 1); }
  int64_t grid() const { return high() * wide(); }
  int64_t places() const { return out_height() * wide(); }
  int64_t taps() const { return inputs * tall * broad; }
};

// Where images lie: strides of samples, channels and rows; a row's pixels are neighbours.
struct Images {
  float* data;
  int64_t sample, channel, row;
};

// The grid from a tap's shift on.
struct Shifted {
  const float* data;
  const int64_t* shift;
  const float* at(int64_t tap) const { return data + shift[tap]; }
};

constexpr int64_t NEAR = 4096;  // floats that share the nearest cache with as many others

// Memory for vectors, kept from call to call, at the start of a cache line.
class Vectors {
 public:
  ~Vectors() { std::free(data_); }
  Vector* sized(int64_t n) {
    if (n > size_) {
      std::free(data_);
      data_ = static_cast<Vector*>(std::aligned_alloc(64, (n * sizeof(Vector) + 63) / 64 * 64));
      size_ = data_ ? n : 0;
      if (!data_) throw std::bad_alloc();
    }
    return data_;
  }
  float* floats(int64_t n) { return reinterpret_cast<float*>(sized((n + WIDTH - 1) / WIDTH)); }

 private:
  Vector* data_ = nullptr;
  int64_t size_ = 0;
};

inline int64_t rounded(int64_t n) { return (n + PANEL - 1) / PANEL * PANEL; }

inline void copy_row(const float* from, float* to, int64_t n) {
  int64_t i = 0;
  for (; i + WIDTH <= n; i += WIDTH) store(to + i, load(from + i));
  if (i < n) store(to + i, load(from + i, n - i), n - i);
}

inline std::vector<int64_t> shifts(const Shape& s) {
  std::vector<int64_t> found;
  for (int64_t c = 0; c < s.inputs; c++)
    for (int64_t i = 0; i < s.tall; i++)
      for (int64_t j = 0; j < s.broad; j++)
        found.push_back(c * s.grid() + i * s.step_y * s.wide() + j * s.step_x);
  return found;
}

// Lays channels [first, first + s.inputs) of a sample on the grid; the padding is 0 already.
inline void lay(const Shape& s, const Images& x, int64_t sample, int64_t first, float* grid) {
  for (int64_t c = 0; c < s.inputs; c++)
    for (int64_t i = 0; i < s.height; i++)
      copy_row(x.data + sample * x.sample + (first + c) * x.channel + i * x.row,
               grid + c * s.grid() + (s.pad_y + i) * s.wide() + s.pad_x, s.width);
}

// y[sample, group · outputs + o] = Σ over taps of weight(o, tap) · x shifted.
inline void correlate(const Shape& s, const Images& x, const float* weight, const Images& y) {
  static thread_local Vectors laid, found;
  const int64_t places = rounded(s.places()), all = s.inputs * s.grid() + s.wide() + PANEL;
  float* grid = laid.floats(all);
  float* out = found.floats(s.outputs * places);
  std::fill(grid, grid + all, 0.f);
  const std::vector<int64_t> shift = shifts(s);
  for (int64_t g = 0; g < s.groups; g++) {
    const Matrix a{weight + g * s.outputs * s.taps(), s.taps(), 1};
    for (int64_t n = 0; n < s.samples; n++) {
      lay(s, x, n, g * s.inputs, grid);
      for (int64_t q = 0; q < places; q += PANEL)
        panel(s.outputs, PANEL, s.taps(), a, Shifted{grid + q, shift.data()}, out + q, places, false);
      for (int64_t o = 0; o < s.outputs; o++)
        for (int64_t i = 0; i < s.out_height(); i++)
          copy_row(out + o * places + i * s.wide(),
                   y.data + n * y.sample + (g * s.outputs + o) * y.channel + i * y.row,
                   s.out_width());
    }
  }
}

// Adds to the sums of R outputs by C taps what some samples and places give; a sum is a vector.
template <int R, int C>
inline void correlation(int64_t samples, const float* dy, int64_t dy_sample, int64_t places,
                        const float* grid, int64_t sample, const int64_t* shift, Vector* sums,
                        int64_t taps) {
  Vector sum[R][C];
  for (int i = 0; i < R; i++)
    for (int j = 0; j < C; j++) sum[i][j] = sums[i * taps + j];
  for (int64_t n = 0; n < samples; n++, dy += dy_sample, grid += sample)
    for (int64_t q = 0; q < places; q += WIDTH) {
      Vector right[C];
      for (int j = 0; j < C; j++) right[j] = load(grid + shift[j] + q);
      for (int i = 0; i < R; i++) {
        const Vector left = load(dy + i * places + q);
        for (int j = 0; j < C; j++) sum[i][j] += left * right[j];
      }
    }
  for (int i = 0; i < R; i++)
    for (int j = 0; j < C; j++) sums[i * taps + j] = sum[i][j];
}

// R outputs by all taps: a few samples at a time, whose R rows of dy stay in the nearest cache.
template <int R>
inline void correlations(const Shape& s, const float* dy, int64_t places, const float* grid,
                         int64_t sample, const int64_t* shift, float* to) {
  static thread_local Vectors room;
  const int64_t taps = s.taps(), dy_sample = s.outputs * places;
  Vector* sums = room.sized(R * taps);
  std::fill(sums, sums + R * taps, Vector{});
  const int64_t few = std::max<int64_t>(1, NEAR / (R * places));
  for (int64_t n = 0; n < s.samples; n += few) {
    const int64_t count = std::min(few, s.samples - n);
    const float *left = dy + n * dy_sample, *right = grid + n * sample;
    int64_t tap = 0;
    for (; tap + 3 <= taps; tap += 3)
      correlation<R, 3>(count, left, dy_sample, places, right, sample, shift + tap, sums + tap, taps);
    for (; tap < taps; tap++)
      correlation<R, 1>(count, left, dy_sample, places, right, sample, shift + tap, sums + tap, taps);
  }
  for (int64_t i = 0; i < R * taps; i++) {
    float total = 0;
    for (int l = 0; l < WIDTH; l++) total += sums[i][l];
    to[i] = total;
  }
}

// The weight's gradient [group · outputs + o, tap] from that of y.
inline void weight_gradient(const Shape& s, const Images& x, const Images& dy, float* gradient) {
  static thread_local Vectors laid, given;
  const int64_t places = (s.places() + WIDTH - 1) / WIDTH * WIDTH, sample = s.inputs * s.grid();
  const int64_t all = s.samples * sample + s.wide() + PANEL;
  float* grid = laid.floats(all);
  float* right = given.floats(s.samples * s.outputs * places);
  std::fill(grid, grid + all, 0.f);
  std::fill(right, right + s.samples * s.outputs * places, 0.f);
  const std::vector<int64_t> shift = shifts(s);
  for (int64_t g = 0; g < s.groups; g++) {
    for (int64_t n = 0; n < s.samples; n++) {
      lay(s, x, n, g * s.inputs, grid + n * sample);
      for (int64_t o = 0; o < s.outputs; o++)
        for (int64_t i = 0; i < s.out_height(); i++)
          copy_row(dy.data + n * dy.sample + (g * s.outputs + o) * dy.channel + i * dy.row,
                   right + (n * s.outputs + o) * places + i * s.wide(), s.out_width());
    }
    float* to = gradient + g * s.outputs * s.taps();
    int64_t o = 0;
    for (; o + 8 <= s.outputs; o += 8)
      correlations<8>(s, right + o * places, places, grid, sample, shift.data(), to + o * s.taps());
    for (; o + 4 <= s.outputs; o += 4)
      correlations<4>(s, right + o * places, places, grid, sample, shift.data(), to + o * s.taps());
    for (; o < s.outputs; o++)
      correlations<1>(s, right + o * places, places, grid, sample, shift.data(), to + o * s.taps());
  }
}

// The gradient of x from that of y: a correlation of dy with the weights turned around.
inline void input_gradient(const Shape& s, const Images& dy, const float* weight, const Images& dx) {
  static thread_local Vectors turned;
  const Shape back{s.samples,
                   s.groups,
                   s.outputs,
                   s.inputs,
                   s.out_height(),
                   s.out_width(),
                   s.tall,
                   s.broad,
                   s.step_y * (s.tall - 1) - s.pad_y,
                   s.step_x * (s.broad - 1) - s.pad_x,
                   s.step_y,
                   s.step_x};
  const int64_t area = s.tall * s.broad;
  float* to = turned.floats(s.groups * s.outputs * s.taps());
  for (int64_t g = 0; g < s.groups; g++)
    for (int64_t c = 0; c < s.inputs; c++)
      for (int64_t o = 0; o < s.outputs; o++) {
        const float* from = weight + ((g * s.outputs + o) * s.inputs + c) * area;
        float* flipped = to + ((g * s.inputs + c) * s.outputs + o) * area;
        for (int64_t i = 0; i < area; i++) flipped[i] = from[area - 1 - i];
      }
  correlate(back, dy, to, dx);
}

}  // namespace talweg
