// Sigmoid and hyperbolic tangent of vectors, to a few units in the last place.
//
// Both come from the exponential of what is negative, which never overflows. What is not a number
// stays so.
#pragma once
#include "product.h"

namespace talweg {

constexpr float LEAST = -87.33f;  // the exponential of less is no normal number

inline Vector magnitude(Vector x) { return (Vector)((Places)x & 0x7fffffff); }

// exp(x) = scale · (1 + rest), for x of [LEAST, 0].
struct Power {
  Vector scale, rest;
};

inline Power power(Vector x) {
  // Adding 1.5 · 2²³ leaves the nearest integer in the last bits.
  const Vector turn = Vector{} + 12582912.f, turned = x * 1.44269504f + turn;
  const Vector count = turned - turn;
  const Vector r = (x - count * 0.693359375f) + count * 2.12194440e-4f;  // ln 2, in two parts
  Vector sum = Vector{} + 1.9875691500e-4f;
  sum = sum * r + 1.3981999507e-3f;
  sum = sum * r + 8.3334519073e-3f;
  sum = sum * r + 4.1665795894e-2f;
  sum = sum * r + 1.6666665459e-1f;
  sum = sum * r + 5.0000001201e-1f;
  return {(Vector)(((Places)turned - (Places)turn + 127) << 23), sum * (r * r) + r};
}

inline Vector sigmoid(Vector x) {
  const Vector least = Vector{} + LEAST, below = -magnitude(x);
  const Power found = power(below < least ? least : below);
  const Vector e = below < least ? Vector{} : found.scale * found.rest + found.scale;
  return (x < 0.f ? e : Vector{} + 1.f) / (e + 1.f);
}

// With m = exp(−2|x|) − 1, |tanh x| = −m / (m + 2): nothing is lost near 0.
inline Vector hyperbolic(Vector x) {
  const Vector least = Vector{} + LEAST, below = -2.f * magnitude(x);
  const Power found = power(below < least ? least : below);
  const Vector m = found.scale * found.rest + (found.scale - 1.f);
  return (Vector)((Places)magnitude(m / (m + 2.f)) | ((Places)x & (int32_t)0x80000000));
}

}  // namespace talweg
