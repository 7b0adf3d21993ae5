// The kernels over PyTorch's tensors, and what gradients become of.

#include <ATen/ATen.h>
#include <ATen/Parallel.h>
#include <ATen/Version.h>
#include <ATen/autocast_mode.h>
#include <torch/csrc/autograd/custom_function.h>

#include <algorithm>
#include <array>
#include <optional>
#include <string>

#include "../cpp/catching.hpp"
#include "kernel.hpp"

namespace {

using swath::winograd::Kernel;
using swath::winograd::POINTS;
using swath::winograd::Shape;
using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

// The gradient of a weight is added up over so many tiles at once, or as many as there are channels: with fewer, the sums go
// through memory more often than the tiles.
constexpr int64_t LEAST_TILES = 64;

// The instructions that PyTorch's own kernels go by, so that both are the same everywhere; null where there are none for it.
const Kernel* kernel() {
  static const Kernel* const chosen = [] {
    const std::string capability = at::get_cpu_capability();
    return capability == "AVX512" ? &swath::winograd::avx512
           : capability == "AVX2" ? &swath::winograd::avx2
                                  : nullptr;
  }();
  return chosen;
}

const float* numbers(const at::Tensor& tensor) { return tensor.const_data_ptr<float>(); }

// As the kernels take images.
at::Tensor side_by_side(const at::Tensor& images) { return images.contiguous(at::MemoryFormat::ChannelsLast); }

Shape shape_of(const at::Tensor& images, int64_t to, int64_t dilation) {
  return {images.size(0), images.size(2), images.size(3), images.size(1), to, dilation};
}

// Whether there are kernels for it, and at most half the products of a plain convolution: tiles of small images are mostly
// empty, and transforms take time too. Of one image, so that it does not depend on the batch.
bool pays(const Shape& shape) {
  const Kernel* use = kernel();
  const Shape one = {1, shape.height, shape.width, shape.from, shape.to, shape.dilation};
  if (use == nullptr || std::min({shape.images, one.height, one.width, one.from, one.to}) == 0) return false;
  return one.from % use->lanes == 0 && one.to % use->lanes == 0 &&
         2 * POINTS * use->tiles(one) <= 9 * one.height * one.width;
}

at::Tensor packed(const at::Tensor& weight, bool back) {
  const int64_t given = weight.size(back ? 1 : 0), taken = weight.size(back ? 0 : 1);
  const swath::winograd::Strides strides = {weight.stride(0), weight.stride(1), weight.stride(2), weight.stride(3)};
  at::Tensor packed = at::empty({POINTS * given * taken}, weight.options());
  const Kernel& use = *kernel();
  float* into = packed.mutable_data_ptr<float>();
  at::parallel_for(0, given / use.lanes, 1, [&](int64_t first, int64_t end) {
    use.pack(numbers(weight), strides, taken, given, back, first * use.lanes, end * use.lanes, into);
  });
  return packed;
}

at::Tensor convolve(const Shape& shape, const at::Tensor& images, const at::Tensor& packed, const at::Tensor& bias,
                    bool relu) {
  const at::Tensor input = side_by_side(images);
  at::Tensor output = at::empty({shape.images, shape.to, shape.height, shape.width},
                                images.options().memory_format(at::MemoryFormat::ChannelsLast));
  const Kernel& use = *kernel();
  float* into = output.mutable_data_ptr<float>();
  const float* shift = bias.defined() ? numbers(bias) : nullptr;
  at::parallel_for(0, use.blocks(shape), 1, [&](int64_t first, int64_t end) {
    const at::Tensor scratch = at::empty({use.scratch(shape)}, images.options());
    use.convolve(shape, numbers(input), numbers(packed), shift, relu, into, first, end,
                 scratch.mutable_data_ptr<float>());
  });
  return output;
}

at::Tensor gradient_of_weight(const Shape& shape, const at::Tensor& input, const at::Tensor& gradient,
                              const at::Tensor& weight) {
  const Kernel& use = *kernel();
  const int64_t tiles = use.tiles(shape), channels = shape.from + shape.to;
  const int64_t room = std::min(tiles, std::max(2 * shape.from * shape.to / channels, LEAST_TILES));
  const auto options = at::TensorOptions(at::kFloat);
  at::Tensor taken = at::empty({POINTS * room * channels}, options);
  at::Tensor sums = at::zeros({POINTS, shape.from, shape.to}, options);
  float* of_input = taken.mutable_data_ptr<float>();
  float* of_gradient = of_input + POINTS * room * shape.from;
  float* into = sums.mutable_data_ptr<float>();
  for (int64_t first = 0; first < tiles; first += room) {
    const int64_t n = std::min(room, tiles - first);
    at::parallel_for(0, n, 16, [&](int64_t from, int64_t to) {
      use.take_input(shape, numbers(input), first + from, to - from, room, of_input + from * shape.from);
      use.take_gradient(shape, numbers(gradient), first + from, to - from, room, of_gradient + from * shape.to);
    });
    at::parallel_for(0, POINTS, 1, [&](int64_t from, int64_t to) {
      for (int64_t point = from; point < to; point++)
        use.sum(shape, of_input + point * room * shape.from, of_gradient + point * room * shape.to, n,
                into + point * shape.from * shape.to);
    });
  }
  at::Tensor result = at::empty_like(weight);
  const swath::winograd::Strides strides = {result.stride(0), result.stride(1), result.stride(2), result.stride(3)};
  use.unpack(numbers(sums), shape.from, shape.to, strides, result.mutable_data_ptr<float>());
  return result;
}

at::Tensor plain_gradient_of_weight(int64_t dilation, const at::Tensor& input, const at::Tensor& gradient,
                                    const at::Tensor& weight) {
  const std::array<int64_t, 2> one = {1, 1}, none = {0, 0}, apart = {dilation, dilation};
  return std::get<1>(at::convolution_backward(gradient, input, weight, std::nullopt, one, apart, apart,
                                              /*transposed=*/false, none, /*groups=*/1, {false, true, false}));
}

class Learn : public torch::autograd::Function<Learn> {
 public:
  static at::Tensor forward(AutogradContext* context, const at::Tensor& images, const at::Tensor& weight,
                            int64_t dilation) {
    const at::Tensor input = side_by_side(images);
    context->save_for_backward({input, weight});
    context->saved_data["dilation"] = dilation;
    return convolve(shape_of(input, weight.size(0), dilation), input, packed(weight, false), at::Tensor(), false);
  }

  static variable_list backward(AutogradContext* context, const variable_list& gradients) {
    TORCH_CHECK(!at::GradMode::is_enabled(), "the gradient of a gradient is not computed");
    const variable_list saved = context->get_saved_variables();
    const at::Tensor &input = saved[0], &weight = saved[1];
    const int64_t dilation = context->saved_data["dilation"].toInt();
    const at::Tensor gradient = side_by_side(gradients[0]);
    at::Tensor of_input, of_weight;
    // As many tiles as forward, and both numbers of channels fit.
    if (context->needs_input_grad(0))
      of_input = convolve(shape_of(gradient, input.size(1), dilation), gradient, packed(weight, true), at::Tensor(), false);
    if (context->needs_input_grad(1)) {
      const Shape shape = shape_of(input, weight.size(0), dilation);
      of_weight = kernel()->tiles(shape) >= LEAST_TILES
                      ? gradient_of_weight(shape, input, gradient, weight)
                      : plain_gradient_of_weight(dilation, input, gradient, weight);
    }
    return {of_input, of_weight, at::Tensor()};
  }
};

}  // namespace

// `output` is null where it does not pay, or the tensors are none that it takes. `kept` is what was packed
// of it before, or null, and is filled in where weights don't learn. Neither bias nor ReLU go with learning.
extern "C" size_t swath_winograd_conv(const at::Tensor* input, const at::Tensor* weight, const at::Tensor* bias,
                                      int64_t dilation, bool relu, at::Tensor** kept, at::Tensor** output, char* why,
                                      size_t room) noexcept {
  return swath::catching(why, room, [&] {
    *output = nullptr;
    const auto is_ours = [](const at::Tensor& tensor) {
      return tensor.device().is_cpu() && tensor.scalar_type() == at::kFloat;
    };
    if (!is_ours(*input) || !is_ours(*weight) || (bias != nullptr && !is_ours(*bias))) return;
    const bool fits = input->dim() == 4 && weight->dim() == 4 && weight->size(1) == input->size(1) &&
                      weight->size(2) == 3 && weight->size(3) == 3 &&
                      (bias == nullptr || bias->numel() == weight->size(0));
    if (!fits || at::autocast::is_autocast_enabled(at::kCPU)) return;
    const Shape shape = shape_of(*input, weight->size(0), dilation);
    if (!pays(shape)) return;
    const bool learns = at::GradMode::is_enabled() && (input->requires_grad() || weight->requires_grad() ||
                                                        (bias != nullptr && bias->requires_grad()));
    if (learns) {
      if (bias == nullptr && !relu) *output = new at::Tensor(Learn::apply(*input, *weight, dilation));
      return;
    }
    const at::Tensor shift = bias == nullptr ? at::Tensor() : bias->contiguous();
    const at::Tensor ours = kept != nullptr && *kept != nullptr ? **kept : packed(*weight, false);
    *output = new at::Tensor(convolve(shape, *input, ours, shift, relu));
    if (kept != nullptr && *kept == nullptr) *kept = new at::Tensor(ours);
  });
}
