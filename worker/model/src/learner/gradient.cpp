// What becomes of gradients before weights follow them: all of them together, since they are many and small.

#include <ATen/core/Tensor.h>
#include <ATen/ops/_foreach_mul.h>
#include <ATen/ops/_foreach_norm.h>
#include <ATen/ops/linalg_vector_norm.h>
#include <ATen/ops/stack.h>

#include <cstddef>
#include <vector>

#include "../cpp/catching.hpp"

namespace {

std::vector<at::Tensor> gradients(at::Tensor* const* parameters, size_t n) {
  std::vector<at::Tensor> all;
  for (size_t i = 0; i < n; ++i) {
    all.push_back(parameters[i]->grad());
    TORCH_CHECK(all.back().defined(), "a parameter has no gradient");
  }
  return all;
}

}  // namespace

// As torch.nn.utils.clip_grad_norm_ finds it: the norm of their norms. It is no number where one of them is none.
extern "C" size_t swath_learner_norm(at::Tensor* const* parameters, size_t n, double* norm, char* why,
                                     size_t room) noexcept {
  return swath::catching(why, room, [&] {
    const auto norms = at::_foreach_norm(gradients(parameters, n), 2);
    *norm = at::linalg_vector_norm(at::stack(norms), 2).item<double>();
  });
}

extern "C" size_t swath_learner_multiply(at::Tensor* const* parameters, size_t n, double factor, char* why,
                                         size_t room) noexcept {
  return swath::catching(why, room, [&] { at::_foreach_mul_(gradients(parameters, n), factor); });
}
