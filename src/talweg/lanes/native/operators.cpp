// The operators of talweg's own, for PyTorch's dispatcher: float32 on a processor, one thread.
#include <ATen/core/Tensor.h>
#include <ATen/ops/empty.h>
#include <torch/library.h>

#include "convolution.h"
#include "pooling.h"
#include "recurrence.h"

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

talweg::Window window(const Tensor& plane, at::IntArrayRef kernel, at::IntArrayRef stride,
                      at::IntArrayRef padding, at::IntArrayRef dilation) {
  const int64_t last = plane.dim() - 1;
  return {plane.size(last - 1), plane.size(last), kernel[0],  kernel[1],   stride[0],  stride[1],
          padding[0],           padding[1],       dilation[0], dilation[1]};
}

std::tuple<Tensor, Tensor> max_pool(const Tensor& x, at::IntArrayRef kernel, at::IntArrayRef stride,
                                    at::IntArrayRef padding, at::IntArrayRef dilation) {
  const Tensor from = x.contiguous();
  const talweg::Window w = window(from, kernel, stride, padding, dilation);
  std::vector<int64_t> shape = x.sizes().vec();
  shape[x.dim() - 2] = w.out_height();
  shape[x.dim() - 1] = w.out_width();
  Tensor values = at::empty(shape, x.options()), taps = at::empty(shape, x.options().dtype(at::kChar));
  const int64_t planes = x.numel() / (w.height * w.width);
  talweg::max_pool(planes, w, from.const_data_ptr<float>(), values.mutable_data_ptr<float>(),
                   taps.mutable_data_ptr<int8_t>());
  return {values, taps};
}

// The gradient of x, [plane, height · width], from that of the values, [plane, …].
Tensor max_pool_backward(const Tensor& dy, const Tensor& taps, at::IntArrayRef size,
                         at::IntArrayRef kernel, at::IntArrayRef stride, at::IntArrayRef padding,
                         at::IntArrayRef dilation) {
  const Tensor given = dy.contiguous(), which = taps.contiguous();
  const talweg::Window w{size[0],    size[1],    kernel[0],   kernel[1],  stride[0], stride[1],
                         padding[0], padding[1], dilation[0], dilation[1]};
  const int64_t planes = which.numel() / (w.out_height() * w.out_width());
  Tensor dx = at::empty({planes, w.height * w.width}, dy.options());
  talweg::max_pool_backward(planes, w, given.const_data_ptr<float>(),
                            which.const_data_ptr<int8_t>(), dx.mutable_data_ptr<float>());
  return dx;
}

using Tensors = std::vector<Tensor>;

// A recurrent layer's lanes: contiguous tensors of which a lane has a row each.
float* row(const Tensor& x, int64_t lane) {
  return const_cast<float*>(x.const_data_ptr<float>()) + lane * x.stride(0);
}

talweg::Laid laid(const Tensor& x, int64_t lane) { return {row(x, lane), x.stride(1), x.stride(2)}; }

Tensor neighbours(const Tensor& x) { return x.size(3) == 1 || x.stride(3) == 1 ? x : x.contiguous(); }

Tensors contiguous(at::TensorList some) {
  Tensors found;
  for (const Tensor& each : some) found.push_back(each.contiguous());
  return found;
}

// Of each lane of a recurrent layer: sizes, what it is given, and, in order, what else.
struct Layer {
  talweg::Steps steps;
  Tensor x;
  Tensors own;  // inputs' weights, bias, recurrent weights, first outputs, more

  Layer(bool reverse, at::TensorList given)
      : x(neighbours(given[0])), own(contiguous(given.slice(1))) {
    steps = {x.size(1), x.size(2), x.size(3), own[3].size(2), reverse};
  }

  talweg::Given given(int64_t l) const {
    return {laid(x, l), row(own[0], l), row(own[1], l), row(own[2], l), row(own[3], l)};
  }
  Tensor room(int64_t n) const { return at::empty({x.size(0), x.size(1), x.size(2), n}, x.options()); }

  template <class One>
  void each(One one) const {
    for (int64_t lane = 0; lane < x.size(0); lane++) one(lane);
  }
};

Tensors recurrence(std::string_view cell, bool reverse, at::TensorList given) {
  const Layer layer(reverse, given);
  const talweg::Steps& s = layer.steps;
  const Tensor outputs = layer.room(s.units);
  if (cell == "lstm") {
    const Tensor cells = layer.room(s.units), gates = layer.room(4 * s.units);
    const Tensor tops = layer.room(s.units), &first = layer.own[4];
    layer.each([&](int64_t l) {
      talweg::Lstm{s, row(outputs, l), row(cells, l), row(gates, l), row(tops, l)}.run(
          layer.given(l), row(first, l));
    });
    const Tensor last = s.times ? cells.select(1, s.at(s.times - 1)) : first;
    return {outputs, last.clone(at::MemoryFormat::Contiguous), cells, gates, tops};
  }
  if (cell == "gru") {
    const Tensor gates = layer.room(3 * s.units), remembered = layer.room(s.units);
    layer.each([&](int64_t l) {
      talweg::Gru{s, row(outputs, l), row(gates, l), row(remembered, l)}.run(layer.given(l),
                                                                            row(layer.own[4], l));
    });
    return {outputs, gates, remembered};
  }
  layer.each([&](int64_t l) { talweg::Plain{s, cell == "tanh", row(outputs, l)}.run(layer.given(l)); });
  return {outputs};
}

Tensors recurrence_back(std::string_view cell, bool reverse, at::TensorList given,
                        at::TensorList results, at::TensorList grads) {
  const Layer layer(reverse, given);
  const talweg::Steps& s = layer.steps;
  const Tensors kept = contiguous(results);
  const Tensor grad = neighbours(grads[0]);
  Tensors found{layer.room(layer.own[2].size(1))};
  for (const Tensor& one : layer.own) found.push_back(at::empty(one.sizes(), one.options()));
  auto to = [&](int64_t l) -> talweg::Gradients {
    return {row(found[0], l), row(found[1], l), row(found[2], l), row(found[3], l), row(found[4], l)};
  };
  if (cell == "lstm") {
    found[5] = grads[1].clone(at::MemoryFormat::Contiguous);
    layer.each([&](int64_t l) {
      talweg::Lstm{s, row(kept[0], l), row(kept[2], l), row(kept[3], l), row(kept[4], l)}.back(
          layer.given(l), row(layer.own[4], l), laid(grad, l), to(l), row(found[5], l));
    });
  } else if (cell == "gru") {
    layer.each([&](int64_t l) {
      talweg::Gru{s, row(kept[0], l), row(kept[1], l), row(kept[2], l)}.back(
          layer.given(l), laid(grad, l), to(l), row(found[5], l));
    });
  } else {
    layer.each([&](int64_t l) {
      talweg::Plain{s, cell == "tanh", row(kept[0], l)}.back(layer.given(l), laid(grad, l), to(l));
    });
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
  library.def(
      "max_pool(Tensor x, int[] kernel, int[] stride, int[] padding, int[] dilation) -> (Tensor, "
      "Tensor)",
      tags);
  library.def(
      "max_pool_backward(Tensor dy, Tensor taps, int[] size, int[] kernel, int[] stride, int[] "
      "padding, int[] dilation) -> Tensor",
      tags);
  library.def("recurrence(str cell, bool reverse, Tensor[] given) -> Tensor[]", tags);
  library.def(
      "recurrence_back(str cell, bool reverse, Tensor[] given, Tensor[] results, Tensor[] grads) -> "
      "Tensor[]",
      tags);
}

TORCH_LIBRARY_IMPL(talweg, CPU, library) {
  library.impl("bmm", bmm);
  library.impl("convolution", convolution);
  library.impl("convolution_input", convolution_input);
  library.impl("convolution_weight", convolution_weight);
  library.impl("max_pool", max_pool);
  library.impl("max_pool_backward", max_pool_backward);
  library.impl("recurrence", recurrence);
  library.impl("recurrence_back", recurrence_back);
}
