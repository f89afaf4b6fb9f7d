// Max pooling of planes, float32, on one thread: values, and which tap of its window each came from.
#pragma once
#include <limits>

#include "convolution.h"

namespace talweg {

struct Window {
  int64_t height, width;              // of a plane
  int64_t tall, broad;                // of a window
  int64_t stride_y, stride_x, pad_y, pad_x, step_y, step_x;

  int64_t out_height() const { return (height + 2 * pad_y - step_y * (tall - 1) - 1) / stride_y + 1; }
  int64_t out_width() const { return (width + 2 * pad_x - step_x * (broad - 1) - 1) / stride_x + 1; }
};

// `count` elements that are `stride` apart.
inline Vector every(const float* from, int64_t stride, int64_t count) {
  if (stride == 1) return load(from, count);
  if (stride == 2) {
    const int64_t all = 2 * count - 1;
    const Vector low = load(from, std::min<int64_t>(all, WIDTH));
    const Vector high = all > WIDTH ? load(from + WIDTH, all - WIDTH) : Vector{};
    Places even;
    for (int i = 0; i < WIDTH; i++) even[i] = 2 * i;
    return shuffled(low, high, even);
  }
  Vector found{};
  for (int64_t i = 0; i < count; i++) found[i] = from[i * stride];
  return found;
}

inline void max_pool(int64_t planes, const Window& w, const float* x, float* values, int8_t* taps) {
  static thread_local Vectors room;
  const int64_t rows = w.out_height(), columns = w.out_width();
  const int64_t wide = w.width + 2 * w.pad_x, all = (w.height + 2 * w.pad_y) * wide;
  const bool padded = w.pad_x || w.pad_y;
  float* grid = padded ? room.floats(all) : nullptr;
  if (padded) std::fill(grid, grid + all, -std::numeric_limits<float>::infinity());
  for (int64_t plane = 0; plane < planes; plane++, x += w.height * w.width) {
    for (int64_t i = 0; padded && i < w.height; i++)
      copy_row(x + i * w.width, grid + (w.pad_y + i) * wide + w.pad_x, w.width);
    const float* laid = padded ? grid : x;
    for (int64_t row = 0; row < rows; row++, values += columns, taps += columns)
      for (int64_t c = 0; c < columns; c += WIDTH) {
        const int64_t count = std::min<int64_t>(WIDTH, columns - c);
        const float* corner = laid + row * w.stride_y * wide + c * w.stride_x;
        Vector best = every(corner, w.stride_x, count);
        Places which{};
        for (int64_t tap = 1; tap < w.tall * w.broad; tap++) {
          const int64_t shift = (tap / w.broad) * w.step_y * wide + (tap % w.broad) * w.step_x;
          const Vector value = every(corner + shift, w.stride_x, count);
          // What is not a number takes the place of any number, and keeps it.
          const Places larger = (value > best) | ((value != value) & (best == best));
          best = larger ? value : best;
          which = larger ? Places{} + (int32_t)tap : which;
        }
        store(values + c, best, count);
        for (int64_t i = 0; i < count; i++) taps[c + i] = (int8_t)which[i];
      }
  }
}

// The gradient of x [plane, height · width] from that of the values.
inline void max_pool_backward(int64_t planes, const Window& w, const float* dy, const int8_t* taps, float* dx) {
  const int64_t rows = w.out_height(), columns = w.out_width(), size = w.height * w.width;
  std::vector<int64_t> shift(w.tall * w.broad);
  for (int64_t tap = 0; tap < w.tall * w.broad; tap++)
    shift[tap] = (tap / w.broad) * w.step_y * w.width + (tap % w.broad) * w.step_x;
  std::fill(dx, dx + planes * size, 0.f);
  for (int64_t plane = 0; plane < planes; plane++, dx += size)
    for (int64_t row = 0; row < rows; row++, dy += columns, taps += columns) {
      const int64_t corner = (row * w.stride_y - w.pad_y) * w.width - w.pad_x;
      for (int64_t c = 0; c < columns; c++) {
        const int64_t at = corner + c * w.stride_x + shift[taps[c]];
        if (at >= 0 && at < size) dx[at] += dy[c];  // a window of −∞ alone may point to the padding
      }
    }
}

}  // namespace talweg
