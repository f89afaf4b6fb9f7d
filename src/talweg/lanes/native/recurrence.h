// Recurrent layers over all their time steps, float32, on one thread: what recurrence.py does.
//
// A lane is run from its first time step to its last, so that its weights and what it remembers
// stay in a near cache, and all that is pointwise at a time step is one pass.
#pragma once
#include "convolution.h"
#include "squash.h"

namespace talweg {

struct Steps {
  int64_t times, batch, units;
  bool reverse;

  int64_t at(int64_t step) const { return reverse ? times - 1 - step : step; }
  int64_t state() const { return batch * units; }
};

// Where rows [time, batch] lie; a row's elements are neighbours.
struct Laid {
  const float* data;
  int64_t time, row;
  const float* at(int64_t t, int64_t b) const { return data + t * time + b * row; }
};

constexpr int64_t SUMMED = 64;  // rows after which the weights' gradient is brought up to date

inline Vector part(const float* from, int64_t n) { return n == WIDTH ? load(from) : load(from, n); }
inline void put(float* to, Vector value, int64_t n) {
  n == WIDTH ? store(to, value) : store(to, value, (int)n);
}

// The states before a step: the first ones, or those of the step before among all of them.
inline const float* before(const Steps& s, int64_t step, const float* first, const float* all) {
  return step ? all + s.at(step - 1) * s.state() : first;
}

// point(sample, unit, count), for up to WIDTH units at a time.
template <class Point>
inline void everywhere(const Steps& s, Point point) {
  for (int64_t b = 0; b < s.batch; b++)
    for (int64_t u = 0; u < s.units; u += WIDTH)
      point(b, u, std::min<int64_t>(WIDTH, s.units - u));
}

// At each step the recurrent products [batch, width] go where `raw` has that time, then to point.
template <class Point>
inline void forward(const Steps& s, int64_t width, const float* weight, const float* first,
                    const float* outputs, float* raw, Point point) {
  static thread_local Vectors room;
  float* packed = room.floats(packed_size(s.units, width));
  pack(s.units, width, {weight, 1, s.units}, packed);
  for (int64_t step = 0; step < s.times; step++) {
    const int64_t t = s.at(step);
    product(s.batch, width, s.units, {before(s, step, first, outputs), s.units, 1}, packed,
            raw + t * s.batch * width, width);
    everywhere(s, [&](int64_t b, int64_t u, int64_t n) { point(step, t, b, u, n); });
  }
}

// At each step, from the last, point turns the gradient of the outputs into that of the recurrent
// products, `raw`; what it leaves of the former reaches the step before besides, if it is `kept`.
template <class Point>
inline void backward(const Steps& s, int64_t width, const float* weight, const float* first,
                     const float* outputs, const float* raw, bool kept, float* to_weight,
                     float* to_output, Point point) {
  static thread_local Vectors room;
  float* packed = room.floats(packed_size(width, s.units));
  pack(width, s.units, {weight, s.units, 1}, packed);
  std::fill(to_output, to_output + s.state(), 0.f);
  std::fill(to_weight, to_weight + width * s.units, 0.f);
  const int64_t several = SUMMED / std::max<int64_t>(1, s.batch) + 1;
  int64_t done = s.times;
  for (int64_t step = s.times - 1; step >= 0; step--) {
    const int64_t t = s.at(step);
    everywhere(s, [&](int64_t b, int64_t u, int64_t n) { point(step, t, b, u, n); });
    product(s.batch, s.units, width, {raw + t * s.batch * width, width, 1}, packed, to_output,
            s.units, kept);
    if (step > 1 && done - step < several) continue;
    const float* early = std::min(raw + t * s.batch * width, raw + s.at(done - 1) * s.batch * width);
    const float* states = before(s, step, first, outputs);
    if (step) states = std::min(states, before(s, done - 1, first, outputs));
    product(width, s.units, (done - step) * s.batch, {early, 1, width}, {states, s.units, 1},
            to_weight, s.units, true);
    done = step;
  }
}

struct Lstm {
  Steps s;
  float *outputs, *cells, *gates, *tops;

  void run(Laid each, const float* weight, const float* first, const float* cell) const {
    const int64_t units = s.units, width = 4 * units;
    forward(s, width, weight, first, outputs, gates,
            [&](int64_t step, int64_t t, int64_t b, int64_t u, int64_t n) {
              const int64_t at = (t * s.batch + b) * units + u;
              const float* drive = each.at(t, b) + u;
              float* now = gates + (t * s.batch + b) * width + u;
              auto gate = [&](int i) { return part(now + i * units, n) + part(drive + i * units, n); };
              const Vector enter = sigmoid(gate(0)), keep = sigmoid(gate(1));
              const Vector fresh = hyperbolic(gate(2)), leave = sigmoid(gate(3));
              const Vector last = part(before(s, step, cell, cells) + b * units + u, n);
              const Vector next = keep * last + enter * fresh, top = hyperbolic(next);
              put(now, enter, n);
              put(now + units, keep, n);
              put(now + 2 * units, fresh, n);
              put(now + 3 * units, leave, n);
              put(cells + at, next, n);
              put(tops + at, top, n);
              put(outputs + at, leave * top, n);
            });
  }

  // to_cell holds the gradient of the last cell, and then that of the first.
  void back(const float* weight, const float* first, const float* cell, Laid grad, float* changes,
            float* to_weight, float* to_output, float* to_cell) const {
    const int64_t units = s.units, width = 4 * units;
    backward(s, width, weight, first, outputs, changes, false, to_weight, to_output,
             [&](int64_t step, int64_t t, int64_t b, int64_t u, int64_t n) {
               const int64_t row = t * s.batch + b, at = b * units + u;
               const float* now = gates + row * width + u;
               float* to = changes + row * width + u;
               const Vector enter = part(now, n), keep = part(now + units, n);
               const Vector fresh = part(now + 2 * units, n), leave = part(now + 3 * units, n);
               const Vector top = part(tops + row * units + u, n);
               const Vector last = part(before(s, step, cell, cells) + at, n);
               const Vector through = part(to_output + at, n) + part(grad.at(t, b) + u, n);
               const Vector into = part(to_cell + at, n) + through * leave * (1.f - top * top);
               put(to, into * fresh * (1.f - enter) * enter, n);
               put(to + units, into * last * (1.f - keep) * keep, n);
               put(to + 2 * units, into * enter * (1.f - fresh * fresh), n);
               put(to + 3 * units, through * top * (1.f - leave) * leave, n);
               put(to_cell + at, into * keep, n);
             });
  }
};

struct Gru {
  Steps s;
  float *outputs, *gates, *remembered;

  void run(Laid each, const float* weight, const float* first, const float* bias) const {
    const int64_t units = s.units, width = 3 * units;
    forward(s, width, weight, first, outputs, gates,
            [&](int64_t step, int64_t t, int64_t b, int64_t u, int64_t n) {
              const int64_t at = (t * s.batch + b) * units + u;
              const float* drive = each.at(t, b) + u;
              float* now = gates + (t * s.batch + b) * width + u;
              const Vector reset = sigmoid(part(now, n) + part(drive, n));
              const Vector keep = sigmoid(part(now + units, n) + part(drive + units, n));
              const Vector past = part(now + 2 * units, n) + part(bias + u, n);
              const Vector fresh = hyperbolic(part(drive + 2 * units, n) + reset * past);
              const Vector last = part(before(s, step, first, outputs) + b * units + u, n);
              put(now, reset, n);
              put(now + units, keep, n);
              put(now + 2 * units, fresh, n);
              put(remembered + at, past, n);
              put(outputs + at, fresh + (last - fresh) * keep, n);
            });
  }

  void back(const float* weight, const float* first, Laid grad, float* changes, float* to_weight,
            float* to_output, float* to_bias) const {
    static thread_local Vectors room;
    const int64_t units = s.units, width = 3 * units;
    float* to_past = room.floats(s.times * s.batch * width);
    std::fill(to_bias, to_bias + units, 0.f);
    backward(s, width, weight, first, outputs, to_past, true, to_weight, to_output,
             [&](int64_t step, int64_t t, int64_t b, int64_t u, int64_t n) {
               const int64_t row = t * s.batch + b, at = b * units + u;
               const float* now = gates + row * width + u;
               float *to = changes + row * width + u, *past = to_past + row * width + u;
               const Vector reset = part(now, n), keep = part(now + units, n);
               const Vector fresh = part(now + 2 * units, n);
               const Vector last = part(before(s, step, first, outputs) + at, n);
               const Vector through = part(to_output + at, n) + part(grad.at(t, b) + u, n);
               const Vector to_keep = through * (last - fresh) * (1.f - keep) * keep;
               const Vector to_fresh = through * (1.f - keep) * (1.f - fresh * fresh);
               const Vector old = part(remembered + row * units + u, n);
               const Vector to_reset = to_fresh * old * (1.f - reset) * reset;
               put(to, to_reset, n);
               put(past, to_reset, n);
               put(to + units, to_keep, n);
               put(past + units, to_keep, n);
               put(to + 2 * units, to_fresh, n);
               put(past + 2 * units, to_fresh * reset, n);
               put(to_bias + u, part(to_bias + u, n) + to_fresh * reset, n);
               put(to_output + at, through * keep, n);
             });
  }
};

// Without gates: tanh or ReLU.
struct Plain {
  Steps s;
  bool is_tanh;
  float* outputs;

  void run(Laid each, const float* weight, const float* first) const {
    forward(s, s.units, weight, first, outputs, outputs,
            [&](int64_t, int64_t t, int64_t b, int64_t u, int64_t n) {
              float* now = outputs + (t * s.batch + b) * s.units + u;
              const Vector x = part(now, n) + part(each.at(t, b) + u, n);
              put(now, is_tanh ? hyperbolic(x) : (x < 0.f ? Vector{} : x), n);
            });
  }

  void back(const float* weight, const float* first, Laid grad, float* changes, float* to_weight,
            float* to_output) const {
    backward(s, s.units, weight, first, outputs, changes, false, to_weight, to_output,
             [&](int64_t, int64_t t, int64_t b, int64_t u, int64_t n) {
               const int64_t at = (t * s.batch + b) * s.units + u;
               const Vector y = part(outputs + at, n);
               const Vector through = part(to_output + b * s.units + u, n) + part(grad.at(t, b) + u, n);
               put(changes + at, is_tanh ? through * (1.f - y * y) : (y <= 0.f ? Vector{} : through), n);
             });
  }
};

}  // namespace talweg
