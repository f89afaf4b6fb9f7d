// Small matrix products in registers: C[m, n] = A[m, k] · B[k, n], float32, on one thread.
//
// A tile of C, up to ROWS rows of up to COLS vectors, stays in registers while k runs. B is read by
// whole vectors along n. Where it lies along k instead, or its last vector would reach beyond its
// end, a panel of it is copied first.
#pragma once
#include <algorithm>
#include <cstdint>
#include <cstring>
#include <vector>
#if defined(__AVX512F__)
#include <immintrin.h>
#endif

namespace talweg {

#if defined(__AVX512F__)
constexpr int WIDTH = 16, ROWS = 12;  // of 32 registers, 24 hold sums
#elif defined(__AVX2__)
constexpr int WIDTH = 8, ROWS = 6;  // 12 of 16
#else
constexpr int WIDTH = 4, ROWS = 6;
#endif
constexpr int COLS = 2;
constexpr int PANEL = COLS * WIDTH;

typedef float Vector __attribute__((vector_size(4 * WIDTH)));
typedef float Unaligned __attribute__((vector_size(4 * WIDTH), aligned(4)));
typedef int32_t Places __attribute__((vector_size(4 * WIDTH)));

inline Vector load(const float* from) { return *reinterpret_cast<const Unaligned*>(from); }
inline void store(float* to, Vector value) { *reinterpret_cast<Unaligned*>(to) = value; }

// Stores the first `count` elements.
inline void store(float* to, Vector value, int count) {
#if defined(__AVX512F__)
  _mm512_mask_storeu_ps(to, (__mmask16)((1u << count) - 1), (__m512)value);
#else
  float values[WIDTH];
  store(values, value);
  for (int i = 0; i < count; i++) to[i] = values[i];
#endif
}

// The first `count` elements, and zeros.
inline Vector load(const float* from, int64_t count) {
#if defined(__AVX512F__)
  return (Vector)_mm512_maskz_loadu_ps((__mmask16)((1u << count) - 1), from);
#else
  Vector value{};
  for (int i = 0; i < count; i++) value[i] = from[i];
  return value;
#endif
}

// The same of a count that is often WIDTH.
inline Vector part(const float* from, int64_t n) { return n == WIDTH ? load(from) : load(from, n); }
inline void put(float* to, Vector value, int64_t n) {
  n == WIDTH ? store(to, value) : store(to, value, (int)n);
}

// Elements of x and y, which follow each other, at these places.
inline Vector shuffled(Vector x, Vector y, Places places) {
#if defined(__clang__)
  Vector found;
  for (int i = 0; i < WIDTH; i++) found[i] = places[i] < WIDTH ? x[places[i]] : y[places[i] - WIDTH];
  return found;
#else
  return __builtin_shuffle(x, y, places);
#endif
}

// A matrix in memory: element (i, j) is at data[i * row + j * column].
struct Matrix {
  const float* data;
  int64_t row, column;
  const float* at(int64_t i, int64_t j) const { return data + i * row + j * column; }
  Matrix below(int64_t i) const { return {data + i * row, row, column}; }
};

// Rows of B from some column on, each readable to the end of its last vector.
struct Rows {
  const float* data;
  int64_t row;
  const float* at(int64_t p) const { return data + p * row; }
};

// R rows by C vectors of C, the last of them `last` columns wide; C's rows are `c_row` apart.
template <int R, int C, class Right>
inline void tile(int64_t k, Matrix a, Right b, float* c, int64_t c_row, int last, bool add) {
  Vector sum[R][C];  // loops over it are unrolled, so that it never is in memory
  const float* left[R];
#pragma GCC unroll 16
  for (int i = 0; i < R; i++) {
    left[i] = a.at(i, 0);
    for (int j = 0; j < C; j++) sum[i][j] = Vector{};
  }
  for (int64_t p = 0; p < k; p++) {
    Vector right[C];
    for (int j = 0; j < C; j++) right[j] = load(b.at(p) + j * WIDTH);
#pragma GCC unroll 16
    for (int i = 0; i < R; i++) {
      const Vector one = left[i][p * a.column] - Vector{};  // 0 + x is not x where that is −0
      for (int j = 0; j < C; j++) sum[i][j] += one * right[j];
    }
  }
  if (add) {
#pragma GCC unroll 16
    for (int i = 0; i < R; i++) {
      const float* to = c + i * c_row;
      for (int j = 0; j < C - 1; j++) sum[i][j] += load(to + j * WIDTH);
      sum[i][C - 1] += part(to + (C - 1) * WIDTH, last);
    }
  }
#pragma GCC unroll 16
  for (int i = 0; i < R; i++) {
    float* to = c + i * c_row;
    for (int j = 0; j < C - 1; j++) store(to + j * WIDTH, sum[i][j]);
    put(to + (C - 1) * WIDTH, sum[i][C - 1], last);
  }
}

// All m rows, in tiles of R rows and, so that they come out even, of one fewer.
template <int R, int C, class Right>
inline void tiles(int64_t m, int64_t k, Matrix a, Right b, float* c, int64_t c_row, int last,
                  bool add) {
  const int64_t count = (m + ROWS - 1) / ROWS;
  if constexpr (R > 1) {
    if ((m + count - 1) / count < R) return tiles<R - 1, C>(m, k, a, b, c, c_row, last, add);
  }
  const int64_t shorter = count * R - m;
  int64_t i = 0;
  for (int64_t t = shorter; t < count; t++, i += R)
    tile<R, C>(k, a.below(i), b, c + i * c_row, c_row, last, add);
  if constexpr (R > 1) {
    for (; i < m; i += R - 1) tile<R - 1, C>(k, a.below(i), b, c + i * c_row, c_row, last, add);
  }
}

// A panel of C: `count` columns, at most PANEL.
template <class Right>
inline void panel(int64_t m, int64_t count, int64_t k, Matrix a, Right b, float* c, int64_t c_row,
                  bool add) {
  if (m <= 0) return;
  const int last = (count - 1) % WIDTH + 1;
  if (count > WIDTH)
    tiles<ROWS, 2>(m, k, a, b, c, c_row, last, add);
  else
    tiles<ROWS, 1>(m, k, a, b, c, c_row, last, add);
}

// Up to WIDTH × WIDTH elements that lie along k, transposed in registers: `tall` of them in each of
// `wide` columns. to[p * PANEL + j] = B(p, j).
inline void transpose(const float* from, int64_t column, int64_t tall, int64_t wide, float* to) {
  Vector rows[WIDTH];
  if (tall == WIDTH && wide == WIDTH) {
#pragma GCC unroll 16
    for (int i = 0; i < WIDTH; i++) rows[i] = load(from + i * column);
  } else {
#pragma GCC unroll 16
    for (int i = 0; i < WIDTH; i++) rows[i] = i < wide ? load(from + i * column, tall) : Vector{};
  }
#pragma GCC unroll 4
  for (int step = 1; step < WIDTH; step *= 2) {
    Places low, high;  // the off-diagonal squares of side `step` change places
#pragma GCC unroll 16
    for (int i = 0; i < WIDTH; i++) {
      low[i] = (i & step) ? WIDTH + i - step : i;
      high[i] = (i & step) ? WIDTH + i : i + step;
    }
#pragma GCC unroll 16
    for (int i = 0; i < WIDTH; i++)
      if (!(i & step)) {
        const Vector x = rows[i], y = rows[i + step];
        rows[i] = shuffled(x, y, low);
        rows[i + step] = shuffled(x, y, high);
      }
  }
#pragma GCC unroll 16
  for (int i = 0; i < WIDTH; i++)
    if (i < tall) store(to + i * PANEL, rows[i]);
}

// Copies `count` columns of B, from `first` on, to rows of PANEL; what lies beyond is anything.
inline void pack(int64_t k, Matrix b, int64_t first, int64_t count, float* to) {
  if (b.column == 1) {
    for (int64_t p = 0; p < k; p++)
      for (int64_t j = 0; j < count; j += WIDTH)
        store(to + p * PANEL + j, load(b.at(p, first + j), std::min<int64_t>(WIDTH, count - j)));
    return;
  }
  if (b.row == 1) {
    for (int64_t j = 0; j < count; j += WIDTH)
      for (int64_t p = 0; p < k; p += WIDTH)
        transpose(b.at(p, first + j), b.column, std::min<int64_t>(WIDTH, k - p),
                  std::min<int64_t>(WIDTH, count - j), to + p * PANEL + j);
    return;
  }
  for (int64_t p = 0; p < k; p++)
    for (int64_t j = 0; j < count; j++) to[p * PANEL + j] = *b.at(p, first + j);
}

// All of B, panel by panel, for products of which it is the right side time and again.
inline int64_t packed_size(int64_t k, int64_t n) { return k * ((n + PANEL - 1) / PANEL * PANEL); }

inline void pack(int64_t k, int64_t n, Matrix b, float* to) {
  for (int64_t first = 0; first < n; first += PANEL, to += k * PANEL)
    pack(k, b, first, std::min<int64_t>(PANEL, n - first), to);
}

// C = A · B, or C += A · B, of a B that was packed.
inline void product(int64_t m, int64_t n, int64_t k, Matrix a, const float* packed, float* c,
                    int64_t c_row, bool add = false) {
  for (int64_t first = 0; first < n; first += PANEL, packed += k * PANEL)
    panel(m, std::min<int64_t>(PANEL, n - first), k, a, Rows{packed, PANEL}, c + first, c_row, add);
}

// C = A · B, or C += A · B.
inline void product(int64_t m, int64_t n, int64_t k, Matrix a, Matrix b, float* c, int64_t c_row,
                    bool add = false) {
  static thread_local std::vector<float> room;
  for (int64_t first = 0; first < n; first += PANEL) {
    const int64_t count = std::min<int64_t>(PANEL, n - first);
    Rows rows{b.at(0, first), b.row};
    if (b.column != 1 || count % WIDTH) {
      if ((int64_t)room.size() < k * PANEL) room.resize(k * PANEL);
      pack(k, b, first, count, room.data());
      rows = {room.data(), PANEL};
    }
    panel(m, count, k, a, rows, c + first, c_row, add);
  }
}

}  // namespace talweg
