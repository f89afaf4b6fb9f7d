// Convolutions of small images, stride 1, float32, on one thread.
//
// An image is laid on a grid with its padding around it, rows `wide` apart. There the input that
// meets weight (channel, i, j) at every place of the output is one run of memory, shifted: no
// columns are copied out. Outputs are computed on the grid as well, and those that fall between two
// rows are left behind.
#pragma once
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

typedef std::vector<float> Room;

inline int64_t rounded(int64_t n) { return (n + PANEL - 1) / PANEL * PANEL; }

inline float* sized(Room& room, int64_t n) {
  if ((int64_t)room.size() < n) room.resize(n);
  return room.data();
}

inline void copy_row(const float* from, float* to, int64_t n) {
  int64_t i = 0;
  for (; i + WIDTH <= n; i += WIDTH) store(to + i, load(from + i));
  for (; i < n; i++) to[i] = from[i];
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
  static thread_local Room laid, found;
  const int64_t places = rounded(s.places()), all = s.inputs * s.grid() + s.wide() + PANEL;
  float* grid = sized(laid, all);
  float* out = sized(found, s.outputs * places);
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

// R outputs by C taps of the weight's gradient: sums over samples and places.
template <int R, int C>
inline void correlation(const Shape& s, const float* dy, int64_t places, const float* grid,
                        int64_t sample, const int64_t* shift, float* to) {
  Vector sum[R][C];
  for (int i = 0; i < R; i++)
    for (int j = 0; j < C; j++) sum[i][j] = Vector{};
  for (int64_t n = 0; n < s.samples; n++, dy += s.outputs * places, grid += sample)
    for (int64_t q = 0; q < places; q += WIDTH) {
      Vector right[C];
      for (int j = 0; j < C; j++) right[j] = load(grid + shift[j] + q);
      for (int i = 0; i < R; i++) {
        const Vector left = load(dy + i * places + q);
        for (int j = 0; j < C; j++) sum[i][j] += left * right[j];
      }
    }
  for (int i = 0; i < R; i++)
    for (int j = 0; j < C; j++) {
      float total = 0;
      for (int l = 0; l < WIDTH; l++) total += sum[i][j][l];
      to[i * s.taps() + j] = total;
    }
}

template <int R>
inline void correlations(const Shape& s, const float* dy, int64_t places, const float* grid,
                         int64_t sample, const int64_t* shift, float* to) {
  int64_t tap = 0;
  for (; tap + 5 <= s.taps(); tap += 5)
    correlation<R, 5>(s, dy, places, grid, sample, shift + tap, to + tap);
  for (; tap + 2 <= s.taps(); tap += 2)
    correlation<R, 2>(s, dy, places, grid, sample, shift + tap, to + tap);
  for (; tap < s.taps(); tap++)
    correlation<R, 1>(s, dy, places, grid, sample, shift + tap, to + tap);
}

// The weight's gradient [group · outputs + o, tap] from that of y.
inline void weight_gradient(const Shape& s, const Images& x, const Images& dy, float* gradient) {
  static thread_local Room laid, given;
  const int64_t places = (s.places() + WIDTH - 1) / WIDTH * WIDTH, sample = s.inputs * s.grid();
  const int64_t all = s.samples * sample + s.wide() + PANEL;
  float* grid = sized(laid, all);
  float* right = sized(given, s.samples * s.outputs * places);
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
    for (; o + 4 <= s.outputs; o += 4)
      correlations<4>(s, right + o * places, places, grid, sample, shift.data(), to + o * s.taps());
    for (; o < s.outputs; o++)
      correlations<1>(s, right + o * places, places, grid, sample, shift.data(), to + o * s.taps());
  }
}

// The gradient of x from that of y: a correlation of dy with the weights turned around.
inline void input_gradient(const Shape& s, const Images& dy, const float* weight, const Images& dx) {
  static thread_local Room turned;
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
  float* to = sized(turned, s.groups * s.outputs * s.taps());
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
