// Sums of ranks on one machine, in memory that they share.

#pragma once

#include <ATen/core/Tensor.h>
#include <ATen/core/ivalue.h>
#include <torch/csrc/distributed/c10d/ProcessGroup.hpp>
#include <torch/csrc/distributed/c10d/Store.hpp>

#include <chrono>
#include <condition_variable>
#include <deque>
#include <memory>
#include <mutex>
#include <thread>
#include <vector>

namespace swath {

using Future = c10::intrusive_ptr<c10::ivalue::Future>;

// What one rank after the other writes into its own place, and all read.
class Lane {
 public:
  // `at` is the same memory for all ranks, and zeroes at first; `processes` are theirs.
  Lane(char* at, int rank, const std::vector<int>& processes, size_t slot, std::chrono::milliseconds timeout);
  ~Lane();

  static size_t bytes(int size, size_t slot);

  // Puts the sum over all ranks, of the same bits for all, in the place of each number.
  void sum(at::Tensor& numbers);

  // Those who wait are told, here and elsewhere.
  void leave();

 private:
  struct Seat;

  template <typename T>
  void sum(T* numbers, size_t n);
  void arrive();
  void await(int other);
  char* slot(int of) const;

  Seat* seats_;
  char* slots_;
  int rank_, size_;
  size_t slot_;
  std::chrono::milliseconds timeout_;
  // Pieces that were summed so far.
  uint32_t turn_ = 0;
  // Of the others' processes; below 0 where the system has none.
  std::vector<int> processes_;
};

class SharedSums {
 public:
  // To be asked for by all ranks, and for all or none of them: null where one does not reach the memory.
  static std::unique_ptr<SharedSums> open(c10d::Store& store, c10d::ProcessGroup& group,
                                          std::chrono::milliseconds timeout);
  ~SharedSums();
  SharedSums(const SharedSums&) = delete;

  void sum(at::Tensor& numbers) { now_->sum(numbers); }

  // By a thread of its own, one after the other.
  Future sum_beside(const at::Tensor& numbers);

 private:
  SharedSums(char* at, size_t length, int rank, const std::vector<int>& processes, std::chrono::milliseconds timeout);
  void work();

  char* at_;
  size_t length_;
  std::unique_ptr<Lane> beside_, now_;
  std::mutex lock_;
  std::condition_variable changed_;
  std::deque<std::pair<at::Tensor, Future>> waiting_;
  bool over_ = false;
  std::thread thread_;
};

}  // namespace swath
