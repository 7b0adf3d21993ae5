// What tch lacks of learning: PyTorch's own optimizers, which go over memory once a step, and gradients that are let
// go of, so that the next ones are not added to zeroes.

#include <ATen/core/Tensor.h>
#include <ATen/ops/_fused_adam.h>
#include <ATen/ops/_fused_adamw.h>
#include <ATen/ops/_fused_sgd.h>
#include <ATen/ops/scalar_tensor.h>

#include <array>
#include <cstddef>
#include <vector>

#include "../cpp/catching.hpp"

namespace {

enum class Kind : int32_t { kAdam, kAdamw, kSgd };

// A parameter, and what is remembered of its gradients: for Adam the running means of them and of their squares, for
// SGD their momentum alone.
struct WithMoments {
  at::Tensor *parameter, *first, *second;
  // Updates that it has taken part in, this one too.
  double n_updates;
};

struct Numbers {
  double rate, momentum, first_beta, second_beta, weight_decay, epsilon;
};

// Whether a walk through memory meets the same elements of both in the same order.
bool lie_alike(const at::Tensor& one, const at::Tensor& other) {
  bool alike = one.is_non_overlapping_and_dense() && one.sizes() == other.sizes();
  for (int64_t dim = 0; alike && dim < one.dim(); ++dim) {
    alike = one.size(dim) == 1 || one.stride(dim) == other.stride(dim);
  }
  return alike;
}

// All of its elements as they lie: with more dimensions the kernel would copy what is not in its favourite order.
at::Tensor flat(const at::Tensor& tensor) { return tensor.as_strided({tensor.numel()}, {1}); }

void update(Kind kind, const WithMoments* all, size_t n, const Numbers& numbers) {
  std::vector<at::Tensor> parameters, gradients, first, second, steps;
  for (const WithMoments* one = all; one != all + n; ++one) {
    const at::Tensor gradient = one->parameter->grad();
    TORCH_CHECK(gradient.defined(), "a parameter has no gradient");
    const auto take = [&](const at::Tensor& other, std::vector<at::Tensor>& into) {
      TORCH_CHECK(lie_alike(*one->parameter, other), "a parameter of ", one->parameter->sizes(), " lies as ",
                  one->parameter->strides(), ", what belongs to it as ", other.strides());
      into.push_back(flat(other));
    };
    take(*one->parameter, parameters);
    take(gradient, gradients);
    take(*one->first, first);
    if (one->second != nullptr) take(*one->second, second);
    // Where the parameter is: cards read it there.
    steps.push_back(at::scalar_tensor(one->n_updates, one->parameter->options().dtype(at::kFloat)));
  }
  // None uphill, and Adam not in the form that keeps the largest moment.
  const auto adam = [&](const auto& fused) {
    fused(parameters, gradients, first, second, std::vector<at::Tensor>(), steps, numbers.rate, numbers.first_beta,
          numbers.second_beta, numbers.weight_decay, numbers.epsilon, false, false);
  };
  switch (kind) {
    case Kind::kAdam:
      return adam([](const auto&... given) { at::_fused_adam_(given...); });
    case Kind::kAdamw:
      return adam([](const auto&... given) { at::_fused_adamw_(given...); });
    case Kind::kSgd:
      // Undamped, so that a first step is like any other from a momentum of nothing.
      return at::_fused_sgd_(parameters, gradients, first, numbers.weight_decay, numbers.momentum, numbers.rate,
                             /*dampening=*/0, /*nesterov=*/false, /*maximize=*/false, /*is_first_step=*/false);
  }
}

}  // namespace

// Writes why it failed, as far as there is room, and returns the whole length; 0 if it did not.
extern "C" size_t swath_learner_update(Kind kind, const WithMoments* all, size_t n, const Numbers* numbers, char* why,
                                       size_t room) noexcept {
  return swath::catching(why, room, [&] { update(kind, all, n, *numbers); });
}

extern "C" void swath_learner_forget_gradient(at::Tensor* parameter) noexcept {
  parameter->mutable_grad().reset();
}
