// Recurrent layers over all their time steps, float32, on one thread: what recurrence.py does.
//
// A lane is run from its first time step to its last, so that its weights and what it remembers
// stay in a near cache, and all that is pointwise at a time step is one pass.
#pragma once
#include <type_traits>

#include "convolution.h"
#include "squash.h"

namespace talweg {

struct Steps {
  int64_t times, batch, features, units;
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

// Inputs, their weights [gate, feature] and bias, recurrent weights [gate, unit], first outputs.
struct Given {
  Laid x;
  const float *into, *bias, *weight, *first;
};

// Their gradients; of the inputs, that of their share of the gates [time, batch, gate].
struct Gradients {
  float *changes, *into, *bias, *weight, *first;
};

constexpr int64_t SUMMED = 64;  // rows after which the weights' gradient is brought up to date

inline void add(float* to, Vector value, int64_t n) { put(to, part(to, n) + value, n); }

// The states before a step: the first ones, or those of the step before among all of them.
inline const float* before(const Steps& s, int64_t step, const float* first, const float* all) {
  return step ? all + s.at(step - 1) * s.state() : first;
}

// point(sample, unit, count), for up to WIDTH units at a time; whole vectors have it to themselves.
template <class Point>
inline void everywhere(const Steps& s, Point point) {
  const int64_t whole = s.units / WIDTH * WIDTH;
  for (int64_t b = 0; b < s.batch; b++) {
    for (int64_t u = 0; u < whole; u += WIDTH) point(b, u, std::integral_constant<int64_t, WIDTH>{});
    if (whole < s.units) point(b, whole, s.units - whole);
  }
}

// At each step the recurrent products [batch, width] go where `raw` has that time, the inputs' near
// by; then both go to point.
template <class Point>
inline void forward(const Steps& s, int64_t width, const Given& g, const float* outputs, float* raw,
                    Point point) {
  static thread_local Vectors room;
  const int64_t size = packed_size(s.units, width), size_into = packed_size(s.features, width);
  float* packed = room.floats(size + size_into + s.batch * width);
  float *packed_into = packed + size, *drive = packed_into + size_into;
  pack(s.units, width, {g.weight, 1, s.units}, packed);
  pack(s.features, width, {g.into, 1, s.features}, packed_into);
  for (int64_t step = 0; step < s.times; step++) {
    const int64_t t = s.at(step);
    product(s.batch, width, s.features, {g.x.at(t, 0), g.x.row, 1}, packed_into, drive, width);
    product(s.batch, width, s.units, {before(s, step, g.first, outputs), s.units, 1}, packed,
            raw + t * s.batch * width, width);
    everywhere(s, [&](int64_t b, int64_t u, auto n) { point(step, t, b, u, n, drive + b * width + u); });
  }
}

// At each step, from the last, point turns the gradient of the outputs into the changes of the
// inputs' share of the gates and into those of the recurrent products, `raw`. What it leaves of the
// former reaches the step before besides, if it is `kept`.
template <class Point>
inline void backward(const Steps& s, int64_t width, const Given& g, const float* outputs,
                     const Gradients& to, const float* raw, bool kept, Point point) {
  static thread_local Vectors room;
  const int64_t size = packed_size(width, s.units);
  float* packed = room.floats(size + s.features * width);
  float* turned = packed + size;  // the gradient of the inputs' weights
  pack(width, s.units, {g.weight, s.units, 1}, packed);
  std::fill(turned, turned + s.features * width, 0.f);
  std::fill(to.bias, to.bias + width, 0.f);
  std::fill(to.first, to.first + s.state(), 0.f);
  std::fill(to.weight, to.weight + width * s.units, 0.f);
  const int64_t several = SUMMED / std::max<int64_t>(1, s.batch) + 1, sheet = s.batch * width;
  int64_t done = s.times;
  for (int64_t step = s.times - 1; step >= 0; step--) {
    const int64_t t = s.at(step);
    everywhere(s, [&](int64_t b, int64_t u, auto n) { point(step, t, b, u, n); });
    product(s.batch, s.units, width, {raw + t * sheet, width, 1}, packed, to.first, s.units, kept);
    product(s.features, width, s.batch, {g.x.at(t, 0), 1, g.x.row},
            {to.changes + t * sheet, width, 1}, turned, width, true);
    if (step > 1 && done - step < several) continue;
    const float* early = std::min(raw + t * sheet, raw + s.at(done - 1) * sheet);
    const float* states = before(s, step, g.first, outputs);
    if (step) states = std::min(states, before(s, done - 1, g.first, outputs));
    product(width, s.units, (done - step) * s.batch, {early, 1, width}, {states, s.units, 1},
            to.weight, s.units, true);
    done = step;
  }
  for (int64_t i = 0; i < width; i++)
    for (int64_t f = 0; f < s.features; f++) to.into[i * s.features + f] = turned[f * width + i];
}

struct Lstm {
  Steps s;
  float *outputs, *cells, *gates, *tops;

  void run(const Given& g, const float* cell) const {
    const int64_t units = s.units, width = 4 * units;
    forward(s, width, g, outputs, gates,
            [&](int64_t step, int64_t t, int64_t b, int64_t u, auto n, const float* drive) {
              const int64_t at = (t * s.batch + b) * units + u;
              float* now = gates + (t * s.batch + b) * width + u;
              auto gate = [&](int64_t i) {
                return part(now + i, n) + part(drive + i, n) + part(g.bias + i + u, n);
              };
              const Vector enter = sigmoid(gate(0)), keep = sigmoid(gate(units));
              const Vector fresh = hyperbolic(gate(2 * units)), leave = sigmoid(gate(3 * units));
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
  void back(const Given& g, const float* cell, Laid grad, const Gradients& to,
            float* to_cell) const {
    const int64_t units = s.units, width = 4 * units;
    backward(s, width, g, outputs, to, to.changes, false,
             [&](int64_t step, int64_t t, int64_t b, int64_t u, auto n) {
               const int64_t row = t * s.batch + b, at = b * units + u;
               const float* now = gates + row * width + u;
               const Vector enter = part(now, n), keep = part(now + units, n);
               const Vector fresh = part(now + 2 * units, n), leave = part(now + 3 * units, n);
               const Vector top = part(tops + row * units + u, n);
               const Vector last = part(before(s, step, cell, cells) + at, n);
               const Vector through = part(to.first + at, n) + part(grad.at(t, b) + u, n);
               const Vector into = part(to_cell + at, n) + through * leave * (1.f - top * top);
               auto change = [&](int i, Vector value) {
                 put(to.changes + row * width + i * units + u, value, n);
                 add(to.bias + i * units + u, value, n);
               };
               change(0, into * fresh * (1.f - enter) * enter);
               change(1, into * last * (1.f - keep) * keep);
               change(2, into * enter * (1.f - fresh * fresh));
               change(3, through * top * (1.f - leave) * leave);
               put(to_cell + at, into * keep, n);
             });
  }
};

struct Gru {
  Steps s;
  float *outputs, *gates, *remembered;

  void run(const Given& g, const float* past_bias) const {
    const int64_t units = s.units, width = 3 * units;
    forward(s, width, g, outputs, gates,
            [&](int64_t step, int64_t t, int64_t b, int64_t u, auto n, const float* drive) {
              const int64_t at = (t * s.batch + b) * units + u;
              float* now = gates + (t * s.batch + b) * width + u;
              auto given = [&](int64_t i) { return part(drive + i, n) + part(g.bias + i + u, n); };
              const Vector reset = sigmoid(part(now, n) + given(0));
              const Vector keep = sigmoid(part(now + units, n) + given(units));
              const Vector past = part(now + 2 * units, n) + part(past_bias + u, n);
              const Vector fresh = hyperbolic(given(2 * units) + reset * past);
              const Vector last = part(before(s, step, g.first, outputs) + b * units + u, n);
              put(now, reset, n);
              put(now + units, keep, n);
              put(now + 2 * units, fresh, n);
              put(remembered + at, past, n);
              put(outputs + at, fresh + (last - fresh) * keep, n);
            });
  }

  void back(const Given& g, Laid grad, const Gradients& to, float* to_past_bias) const {
    static thread_local Vectors room;
    const int64_t units = s.units, width = 3 * units;
    float* to_past = room.floats(s.times * s.batch * width);
    std::fill(to_past_bias, to_past_bias + units, 0.f);
    backward(s, width, g, outputs, to, to_past, true,
             [&](int64_t step, int64_t t, int64_t b, int64_t u, auto n) {
               const int64_t row = t * s.batch + b, at = b * units + u;
               const float* now = gates + row * width + u;
               const Vector reset = part(now, n), keep = part(now + units, n);
               const Vector fresh = part(now + 2 * units, n);
               const Vector last = part(before(s, step, g.first, outputs) + at, n);
               const Vector through = part(to.first + at, n) + part(grad.at(t, b) + u, n);
               const Vector to_keep = through * (last - fresh) * (1.f - keep) * keep;
               const Vector to_fresh = through * (1.f - keep) * (1.f - fresh * fresh);
               const Vector old = part(remembered + row * units + u, n);
               const Vector to_reset = to_fresh * old * (1.f - reset) * reset;
               auto change = [&](int i, Vector value, Vector past) {
                 put(to.changes + row * width + i * units + u, value, n);
                 put(to_past + row * width + i * units + u, past, n);
                 add(to.bias + i * units + u, value, n);
               };
               change(0, to_reset, to_reset);
               change(1, to_keep, to_keep);
               change(2, to_fresh, to_fresh * reset);
               add(to_past_bias + u, to_fresh * reset, n);
               put(to.first + at, through * keep, n);
             });
  }
};

// Without gates: tanh or ReLU.
struct Plain {
  Steps s;
  bool is_tanh;
  float* outputs;

  void run(const Given& g) const {
    forward(s, s.units, g, outputs, outputs,
            [&](int64_t, int64_t t, int64_t b, int64_t u, auto n, const float* drive) {
              float* now = outputs + (t * s.batch + b) * s.units + u;
              const Vector x = part(now, n) + part(drive, n) + part(g.bias + u, n);
              put(now, is_tanh ? hyperbolic(x) : (x < 0.f ? Vector{} : x), n);
            });
  }

  void back(const Given& g, Laid grad, const Gradients& to) const {
    backward(s, s.units, g, outputs, to, to.changes, false,
             [&](int64_t, int64_t t, int64_t b, int64_t u, auto n) {
               const int64_t at = (t * s.batch + b) * s.units + u;
               const Vector y = part(outputs + at, n);
               Vector change = part(to.first + b * s.units + u, n) + part(grad.at(t, b) + u, n);
               change = is_tanh ? change * (1.f - y * y) : y <= 0.f ? Vector{} : change;
               put(to.changes + at, change, n);
               add(to.bias + u, change, n);
             });
  }
};

}  // namespace talweg
