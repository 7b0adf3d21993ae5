// What tch lacks of learning: PyTorch's own Adam, which goes over memory once a step, and gradients that are let go
// of, so that the next ones are not added to zeroes.

#include <ATen/core/Tensor.h>
#include <ATen/ops/_fused_adam.h>
#include <ATen/ops/_fused_adamw.h>
#include <ATen/ops/scalar_tensor.h>
#include <c10/util/Exception.h>

#include <algorithm>
#include <array>
#include <cstddef>
#include <string_view>
#include <vector>

namespace {

// A parameter, and the running means of its gradient and of the gradient's square.
struct Learnt {
  at::Tensor *parameter, *first, *second;
};

// Whether a walk through memory meets the same elements of both in the same order.
bool lie_alike(const at::Tensor& one, const at::Tensor& other) {
  bool alike = one.is_non_overlapping_and_dense() && one.sizes() == other.sizes();
  for (int64_t dim = 0; alike && dim < one.dim(); ++dim) {
    alike = one.size(dim) == 1 || one.stride(dim) == other.stride(dim);
  }
  return alike;
}

void update(bool decoupled, const Learnt* learnt, size_t n, const double (&numbers)[6]) {
  const auto [rate, first_beta, second_beta, weight_decay, epsilon, n_updates] = numbers;
  std::vector<at::Tensor> parameters, gradients, first, second;
  for (const Learnt* one = learnt; one != learnt + n; ++one) {
    const at::Tensor gradient = one->parameter->grad();
    TORCH_CHECK(gradient.defined(), "a parameter has no gradient");
    // The kernel walks through all of them at once.
    for (const at::Tensor* other : std::array<const at::Tensor*, 3>{&gradient, one->first, one->second}) {
      TORCH_CHECK(lie_alike(*one->parameter, *other), "a parameter of ", one->parameter->sizes(), " lies as ",
                  one->parameter->strides(), ", what belongs to it as ", other->strides());
    }
    parameters.push_back(*one->parameter);
    gradients.push_back(gradient);
    first.push_back(*one->first);
    second.push_back(*one->second);
  }
  const std::vector<at::Tensor> steps(n, at::scalar_tensor(n_updates, at::kFloat));
  const auto call = [&](const auto& fused) {
    fused(parameters, gradients, first, second, std::vector<at::Tensor>(), steps, rate, first_beta, second_beta,
          weight_decay, epsilon);
  };
  // Neither in the form that keeps the largest moment, nor uphill.
  if (decoupled) {
    call([](const auto&... all) { at::_fused_adamw_(all..., false, false); });
  } else {
    call([](const auto&... all) { at::_fused_adam_(all..., false, false); });
  }
}

}  // namespace

// Writes why it failed, as far as there is room, and returns the whole length; 0 if it did not.
extern "C" size_t swath_learner_update(bool decoupled, const Learnt* learnt, size_t n, const double (*numbers)[6],
                                       char* out, size_t room) noexcept {
  try {
    update(decoupled, learnt, n, *numbers);
    return 0;
  } catch (const c10::Error& error) {
    const std::string_view why = error.what_without_backtrace();
    std::copy_n(why.data(), std::min(room, why.size()), out);
    return std::max<size_t>(why.size(), 1);
  } catch (...) {
    return 1;
  }
}

extern "C" void swath_learner_forget_gradient(at::Tensor* parameter) noexcept {
  parameter->mutable_grad().reset();
}
