// The operators of talweg's own, for PyTorch's dispatcher: float32 on a processor, one thread.
#include <ATen/core/Tensor.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/zeros.h>
#include <torch/library.h>

#include "convolution.h"

namespace {

using at::Tensor;
using talweg::Images;
using talweg::Shape;

Tensor bmm(const Tensor& a, const Tensor& b) {
  const int64_t lanes = a.size(0), m = a.size(1), k = a.size(2), n = b.size(2);
  Tensor c = at::empty({lanes, m, n}, a.options());
  float* to = c.mutable_data_ptr<float>();
  const float* left = a.const_data_ptr<float>();
  const float* right = b.const_data_ptr<float>();
  for (int64_t lane = 0; lane < lanes; lane++)
    talweg::product(m, n, k, {left + lane * a.stride(0), a.stride(1), a.stride(2)},
                    {right + lane * b.stride(0), b.stride(1), b.stride(2)}, to + lane * m * n, n);
  return c;
}

Shape shape_of(const Tensor& x, const Tensor& weight, at::IntArrayRef padding,
               at::IntArrayRef dilation, int64_t groups) {
  return {x.size(0),      groups,         weight.size(1), weight.size(0) / groups,
          x.size(2),      x.size(3),      weight.size(2), weight.size(3),
          padding[0],     padding[1],     dilation[0],    dilation[1]};
}

Tensor rows_together(const Tensor& x) { return x.size(3) == 1 || x.stride(3) == 1 ? x : x.contiguous(); }

Images images(const Tensor& x) {
  return {const_cast<float*>(x.const_data_ptr<float>()), x.stride(0), x.stride(1), x.stride(2)};
}

Tensor convolution(const Tensor& x, const Tensor& weight, at::IntArrayRef padding,
                   at::IntArrayRef dilation, int64_t groups) {
  const Tensor from = rows_together(x), own = weight.contiguous();
  const Shape s = shape_of(from, own, padding, dilation, groups);
  Tensor y = at::empty({s.samples, groups * s.outputs, s.out_height(), s.out_width()}, x.options());
  talweg::correlate(s, images(from), own.const_data_ptr<float>(), images(y));
  return y;
}

Tensor convolution_input(const Tensor& dy, const Tensor& x, const Tensor& weight,
                         at::IntArrayRef padding, at::IntArrayRef dilation, int64_t groups) {
  const Tensor from = rows_together(dy), own = weight.contiguous();
  Tensor dx = at::empty(x.sizes(), x.options());
  talweg::input_gradient(shape_of(x, own, padding, dilation, groups), images(from),
                         own.const_data_ptr<float>(), images(dx));
  return dx;
}

Tensor convolution_weight(const Tensor& dy, const Tensor& x, const Tensor& weight,
                          at::IntArrayRef padding, at::IntArrayRef dilation, int64_t groups) {
  const Tensor from = rows_together(dy), in = rows_together(x);
  Tensor gradient = at::empty(weight.sizes(), weight.options());
  talweg::weight_gradient(shape_of(in, weight, padding, dilation, groups), images(in), images(from),
                          gradient.mutable_data_ptr<float>());
  return gradient;
}

// Zeros [row, width], with source added where index says: what max pooling hands back.
Tensor scatter(const Tensor& index, const Tensor& source, int64_t width) {
  const Tensor places = index.contiguous(), values = source.contiguous();
  Tensor found = at::zeros({places.size(0), width}, source.options());
  float* to = found.mutable_data_ptr<float>();
  const int64_t* place = places.const_data_ptr<int64_t>();
  const float* value = values.const_data_ptr<float>();
  const int64_t count = places.size(1);
  for (int64_t row = 0; row < places.size(0); row++, to += width)
    for (int64_t i = 0; i < count; i++, place++, value++) {
      TORCH_CHECK_INDEX(*place >= 0 && *place < width, "index out of range");
      to[*place] += *value;
    }
  return found;
}

}  // namespace

TORCH_LIBRARY_FRAGMENT(talweg, library) {
  const std::vector<at::Tag> tags{at::Tag::pt2_compliant_tag, at::Tag::needs_exact_strides};
  library.def("bmm(Tensor a, Tensor b) -> Tensor", tags);
  library.def(
      "convolution(Tensor x, Tensor weight, int[] padding, int[] dilation, int groups) -> Tensor",
      tags);
  library.def(
      "convolution_input(Tensor dy, Tensor x, Tensor weight, int[] padding, int[] dilation, int "
      "groups) -> Tensor",
      tags);
  library.def(
      "convolution_weight(Tensor dy, Tensor x, Tensor weight, int[] padding, int[] dilation, int "
      "groups) -> Tensor",
      tags);
  library.def("scatter(Tensor index, Tensor source, int width) -> Tensor", tags);
}

TORCH_LIBRARY_IMPL(talweg, CPU, library) {
  library.impl("bmm", bmm);
  library.impl("convolution", convolution);
  library.impl("convolution_input", convolution_input);
  library.impl("convolution_weight", convolution_weight);
  library.impl("scatter", scatter);
}
