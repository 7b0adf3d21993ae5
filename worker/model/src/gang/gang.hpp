// A rank's way to all others.

#pragma once

#include <torch/csrc/distributed/c10d/ProcessGroup.hpp>
#include <torch/csrc/distributed/c10d/Store.hpp>

#include <memory>

#include "shared.hpp"

namespace swath {

struct Gang {
  c10::intrusive_ptr<c10d::Store> store;
  c10::intrusive_ptr<c10d::ProcessGroup> group;
  // Where all are on one machine; for what does not lie on cards.
  std::unique_ptr<SharedSums> shared;

  // Of all ranks, into the numbers of each. Where they lie says who sums them.
  void sum(at::Tensor& numbers) const {
    if (shared && numbers.is_cpu()) return shared->sum(numbers);
    std::vector<at::Tensor> one{numbers};
    group->allreduce(one)->wait();
  }

  // The same beside what is computed; all ranks ask in the same order.
  Future sum_beside(const at::Tensor& numbers) const {
    if (shared && numbers.is_cpu()) return shared->sum_beside(numbers);
    std::vector<at::Tensor> one{numbers};
    return group->allreduce(one)->getFuture();
  }
};

}  // namespace swath
