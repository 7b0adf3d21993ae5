// Batch norms that go by the images of all ranks, which PyTorch has for cards alone, and in Python. Its own kernels see to
// what this rank has; between them, sums are added up over all.

#include <ATen/ATen.h>
#include <torch/csrc/autograd/custom_function.h>

#include <array>
#include <optional>

#include "../cpp/catching.hpp"
#include "gang.hpp"

namespace {

using swath::Gang;
using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

at::Tensor summed(const Gang& gang, at::Tensor numbers) {
  gang.sum(numbers);
  return numbers;
}

// By this mean and variance.
at::Tensor normed(const at::Tensor& input, const at::Tensor& gamma, const at::Tensor& beta, const at::Tensor& mean,
                  const at::Tensor& variance, double epsilon) {
  return std::get<0>(at::native_batch_norm(input, gamma, beta, mean, variance, /*training=*/false, 0, epsilon));
}

struct Settings {
  const Gang* gang;
  double momentum, epsilon;
};

class Norm : public torch::autograd::Function<Norm> {
 public:
  static at::Tensor forward(AutogradContext* context, const at::Tensor& input, const at::Tensor& gamma,
                            const at::Tensor& beta, at::Tensor running_mean, at::Tensor running_variance,
                            const Settings& settings) {
    const int64_t channels = input.size(1);
    const double ours = static_cast<double>(input.numel()) / static_cast<double>(channels);
    const auto own = at::batch_norm_update_stats(input, std::nullopt, std::nullopt, 0);
    // In doubles, so that a small variance survives the square of a large mean.
    const at::Tensor own_mean = std::get<0>(own).to(at::kDouble), own_variance = std::get<1>(own).to(at::kDouble);
    const at::Tensor sums = summed(*settings.gang, at::cat({own_mean * ours, (own_variance + own_mean.square()) * ours,
                                                            at::full({1}, ours, own_mean.options())}));
    const double count = sums[2 * channels].item<double>();
    const at::Tensor mean = sums.narrow(0, 0, channels) / count;
    const at::Tensor variance = (sums.narrow(0, channels, channels) / count - mean.square()).clamp_min(0);
    const at::Tensor unbiased = variance * (count / std::max(count - 1, 1.0));
    running_mean.mul_(1 - settings.momentum).add_(mean.to(at::kFloat), settings.momentum);
    running_variance.mul_(1 - settings.momentum).add_(unbiased.to(at::kFloat), settings.momentum);
    const at::Tensor m = mean.to(at::kFloat), v = variance.to(at::kFloat);
    context->save_for_backward({input, gamma, m, v});
    context->saved_data["count"] = count;
    context->saved_data["epsilon"] = settings.epsilon;
    context->saved_data["gang"] = reinterpret_cast<int64_t>(settings.gang);
    return normed(input, gamma, beta, m, v, settings.epsilon);
  }

  static variable_list backward(AutogradContext* context, const variable_list& gradients) {
    const variable_list saved = context->get_saved_variables();
    const at::Tensor &input = saved[0], &gamma = saved[1], &mean = saved[2], &variance = saved[3];
    const double count = context->saved_data["count"].toDouble(), epsilon = context->saved_data["epsilon"].toDouble();
    const auto* gang = reinterpret_cast<const Gang*>(context->saved_data["gang"].toInt());
    const at::Tensor& gradient = gradients[0];
    // As if mean and variance were given: the gradients of gamma and beta, of what this rank has.
    const auto own = at::native_batch_norm_backward(gradient, input, gamma, mean, variance, std::nullopt, std::nullopt,
                                                    /*train=*/false, epsilon, {false, true, true});
    const at::Tensor &of_gamma = std::get<1>(own), &of_beta = std::get<2>(own);
    const at::Tensor means =
        (summed(*gang, at::cat({of_gamma, of_beta}).to(at::kDouble)) / count).to(at::kFloat);
    const int64_t channels = gamma.numel();
    const at::Tensor scale = gamma * (variance + epsilon).rsqrt();
    // Mean and variance come from all images, so the gradient of each is less its part of what those are moved by.
    at::Tensor of_input = normed(input, -scale * means.narrow(0, 0, channels),
                                 -scale * means.narrow(0, channels, channels), mean, variance, epsilon);
    of_input.addcmul_(gradient, scale.view({1, channels, 1, 1}));
    return {of_input, of_gamma, of_beta, at::Tensor(), at::Tensor(), at::Tensor()};
  }
};

}  // namespace

extern "C" size_t swath_gang_norm(const Gang* gang, const at::Tensor* input, const at::Tensor* gamma,
                                  const at::Tensor* beta, at::Tensor* running_mean, at::Tensor* running_variance,
                                  double momentum, double epsilon, at::Tensor** output, char* why,
                                  size_t room) noexcept {
  return swath::catching(why, room, [&] {
    const Settings settings{gang, momentum, epsilon};
    // What comes in 16 bits goes on in them, but is too coarse for sums.
    const at::Tensor normed = Norm::apply(input->to(at::kFloat), *gamma, *beta, *running_mean, *running_variance,
                                          settings);
    *output = new at::Tensor(normed.to(input->scalar_type()));
  });
}
