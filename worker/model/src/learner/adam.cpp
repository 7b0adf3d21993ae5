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
#include <exception>
#include <string_view>
#include <vector>

namespace {

// A parameter, and the running means of its gradient and of the gradient's square.
struct WithMoments {
  at::Tensor *parameter, *first, *second;
};

struct Numbers {
  double rate, first_beta, second_beta, weight_decay, epsilon, n_updates;
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

void update(bool decoupled, const WithMoments* all, size_t n, const Numbers& numbers) {
  std::vector<at::Tensor> parameters, gradients, first, second;
  for (const WithMoments* one = all; one != all + n; ++one) {
    const at::Tensor gradient = one->parameter->grad();
    TORCH_CHECK(gradient.defined(), "a parameter has no gradient");
    for (const at::Tensor* other : std::array<const at::Tensor*, 3>{&gradient, one->first, one->second}) {
      TORCH_CHECK(lie_alike(*one->parameter, *other), "a parameter of ", one->parameter->sizes(), " lies as ",
                  one->parameter->strides(), ", what belongs to it as ", other->strides());
    }
    parameters.push_back(flat(*one->parameter));
    gradients.push_back(flat(gradient));
    first.push_back(flat(*one->first));
    second.push_back(flat(*one->second));
  }
  const std::vector<at::Tensor> steps(n, at::scalar_tensor(numbers.n_updates, at::kFloat));
  const auto call = [&](const auto& fused) {
    fused(parameters, gradients, first, second, std::vector<at::Tensor>(), steps, numbers.rate, numbers.first_beta,
          numbers.second_beta, numbers.weight_decay, numbers.epsilon);
  };
  // Neither in the form that keeps the largest moment, nor uphill.
  if (decoupled) {
    call([](const auto&... given) { at::_fused_adamw_(given..., false, false); });
  } else {
    call([](const auto&... given) { at::_fused_adam_(given..., false, false); });
  }
}

}  // namespace

// Writes why it failed, as far as there is room, and returns the whole length; 0 if it did not.
extern "C" size_t swath_learner_update(bool decoupled, const WithMoments* all, size_t n, const Numbers* numbers,
                                       char* out, size_t room) noexcept {
  const auto tell = [&](std::string_view why) {
    if (why.empty()) why = "it says nothing";
    std::copy_n(why.data(), std::min(room, why.size()), out);
    return why.size();
  };
  try {
    update(decoupled, all, n, *numbers);
    return 0;
  } catch (const c10::Error& error) {
    return tell(error.what_without_backtrace());
  } catch (const std::exception& error) {
    return tell(error.what());
  } catch (...) {
    return tell("");
  }
}

extern "C" void swath_learner_forget_gradient(at::Tensor* parameter) noexcept {
  parameter->mutable_grad().reset();
}
