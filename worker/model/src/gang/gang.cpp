// PyTorch's own c10d: ranks that meet at a store, numbers that are summed over them, and gradients that are summed
// while others are still computed.

#include <ATen/ATen.h>
#include <c10/util/Logging.h>
#include <torch/csrc/distributed/c10d/PrefixStore.hpp>
#include <torch/csrc/distributed/c10d/ProcessGroup.hpp>
#include <torch/csrc/distributed/c10d/ProcessGroupGloo.hpp>
#include <torch/csrc/distributed/c10d/TCPStore.hpp>
#include <torch/csrc/distributed/c10d/comm.hpp>
#include <torch/csrc/distributed/c10d/reducer.hpp>
#include <torch/version.h>

#include <array>
#include <chrono>
#include <mutex>
#include <string_view>
#include <tuple>

#include "../cpp/catching.hpp"
#include "gang.hpp"
#include "nccl/nccl.hpp"

namespace {

using swath::catching;
using swath::Gang;
using Clock = std::chrono::steady_clock;
using Tensors = std::vector<at::Tensor>;

constexpr const char *kPrefix = "swath", *kFirst = "first";
// The last bucket is what nothing hides, so they are smaller than for cards, whose are PyTorch's.
constexpr int64_t kFirstBucket = 1 << 20, kBucket = 4 << 20, kBucketOfCards = 25 << 20;
// Large models are handed over in pieces.
constexpr size_t kPiece = 64 << 20;

struct Store {
  c10::intrusive_ptr<c10d::TCPStore> tcp;
};

struct Sum {
  at::Tensor numbers;
  swath::Future future;
};

// For how long gradients were on their way, over all backward passes; of processors alone: what cards do is under way
// when it is told to be done.
class Overlap {
 public:
  // `last`: nothing was left to compute meanwhile.
  void note(Clock::time_point begun, bool last) {
    const auto now = Clock::now();
    const std::lock_guard guard(lock_);
    if (const auto from = std::max(begun, counted_); now > from) summing_ += now - from;
    if (last) exposed_ += now - begun;
    counted_ = std::max(now, counted_);
  }

  std::pair<double, double> seconds() {
    const std::lock_guard guard(lock_);
    const auto s = [](Clock::duration span) { return std::chrono::duration<double>(span).count(); };
    return {s(summing_), s(exposed_)};
  }

 private:
  std::mutex lock_;
  Clock::duration summing_{}, exposed_{};
  // Buckets may be on their way side by side: until when time has been counted.
  Clock::time_point counted_{};
};

// Sums each bucket. Not divided: the loss was, by what the pixels of all ranks weigh together.
class Summing final : public c10d::CppCommHookInterface<const Gang*> {
 public:
  Summing(const Gang* gang, std::shared_ptr<Overlap> overlap)
      : CppCommHookInterface(gang), overlap_(std::move(overlap)) {}

  swath::Future runHook(c10d::GradBucket& bucket) override {
    const auto begun = Clock::now();
    auto future = state_->sum_beside(bucket.getBufferRef());
    if (!bucket.getBufferRef().is_cpu()) return future;
    future->addCallback([overlap = overlap_, begun, last = bucket.isLast()](c10::ivalue::Future&) {
      overlap->note(begun, last);
    });
    return future;
  }

 private:
  std::shared_ptr<Overlap> overlap_;
};

struct Reducer {
  std::shared_ptr<Overlap> overlap;
  std::unique_ptr<c10d::Reducer> reducer;
};

// What ranks of this attempt have in common.
c10::intrusive_ptr<c10d::Store> common(const Store& store, const char* attempt) {
  return c10::make_intrusive<c10d::PrefixStore>(std::string(kPrefix) + attempt, store.tcp);
}

Tensors all(at::Tensor* const* tensors, size_t n) {
  Tensors taken;
  for (size_t i = 0; i < n; ++i) taken.push_back(tensors[i]->detach());
  return taken;
}

}  // namespace

extern "C" {

// Opened on a listener, which is its own from then on; found where that is below 0.
size_t swath_gang_store(const char* host, uint16_t port, int listener, int64_t timeout_ms, Store** store, char* why,
                        size_t room) noexcept {
  return catching(why, room, [&] {
    // As much is logged as the environment says, which Python would see to.
    c10::initLogging();
    c10d::TCPStoreOptions options;
    options.port = port;
    options.isServer = listener >= 0;
    if (listener >= 0) options.masterListenFd = listener;
    options.waitWorkers = false;
    options.timeout = std::chrono::milliseconds(timeout_ms);
    *store = new Store{c10::make_intrusive<c10d::TCPStore>(host, options)};
  });
}

void swath_gang_store_close(Store* store) noexcept { delete store; }

// The version that a plugin has to be compiled for.
const char* swath_gang_version() noexcept { return TORCH_VERSION; }

// Before ranks meet: `take` is given what the first one says of itself; the others wait for it.
size_t swath_gang_hear_first(const Store* store, uint32_t rank, const char* attempt, const char* own,
                             void (*take)(void*, const uint8_t*, size_t), void* taker, char* why,
                             size_t room) noexcept {
  return catching(why, room, [&] {
    const auto shared = common(*store, attempt);
    const std::string_view words(own);
    if (rank == 0) shared->set(kFirst, std::vector<uint8_t>(words.begin(), words.end()));
    const auto heard = shared->get(kFirst);
    take(taker, heard.data(), heard.size());
  });
}

// Returns once all ranks are there. `address` is where the others reach this one, `attempt` tells it from others that
// have met there; `is_here` says that all are on this machine. What lies on this card, if it is one, is summed by NCCL
// where it is given, and else by Gloo.
size_t swath_gang_meet(const Store* store, uint32_t rank, uint32_t size, const char* address, const char* attempt,
                       bool is_here, int32_t card, swath::NcclGroup nccl, int64_t timeout_ms, Gang** gang, char* why,
                       size_t room) noexcept {
  return catching(why, room, [&] {
    const auto timeout = std::chrono::milliseconds(timeout_ms);
    auto shared = common(*store, attempt);
    auto options = c10d::ProcessGroupGloo::Options::create(timeout);
    options->devices.push_back(c10d::ProcessGroupGloo::createDeviceForHostname(address));
    auto gloo = c10::make_intrusive<c10d::ProcessGroupGloo>(c10::make_intrusive<c10d::PrefixStore>("gloo", shared),
                                                            static_cast<int>(rank), static_cast<int>(size), options);
    auto group = c10::make_intrusive<c10d::ProcessGroup>(shared, static_cast<int>(rank), static_cast<int>(size));
    group->setBackend(at::kCPU, c10d::ProcessGroup::BackendType::GLOO, c10::intrusive_ptr<c10d::Backend>(gloo));
    group->setDefaultBackend(c10d::ProcessGroup::BackendType::GLOO);
    if (card >= 0 && nccl != nullptr) {
      c10::intrusive_ptr<c10d::Backend> made;
      std::array<char, 1024> told;
      const size_t length = nccl(c10::make_intrusive<c10d::PrefixStore>("nccl", shared), static_cast<int>(rank),
                                 static_cast<int>(size), timeout_ms, card, made, told.data(), told.size());
      TORCH_CHECK(length == 0, "NCCL: ", std::string_view(told.data(), std::min(length, told.size())));
      group->setBackend(at::kCUDA, c10d::ProcessGroup::BackendType::NCCL, made);
    } else if (card >= 0) {
      group->setBackend(at::kCUDA, c10d::ProcessGroup::BackendType::GLOO, c10::intrusive_ptr<c10d::Backend>(gloo));
    }
    group->setGroupName(kPrefix);
    // Nothing is shared with other machines.
    auto sums = is_here ? swath::SharedSums::open(*shared, *group, timeout) : nullptr;
    if (is_here && sums == nullptr && rank == 0) {
      TORCH_WARN("ranks of this machine do not reach each other's memory (/proc, memfd_create): they go by sockets, "
                 "which takes longer");
    }
    *gang = new Gang{std::move(shared), std::move(group), std::move(sums)};
  });
}

void swath_gang_leave(Gang* gang) noexcept { delete gang; }

// Goes on beside what is computed until it is asked for.
size_t swath_gang_begin_sum(const Gang* gang, const double* numbers, size_t n, Sum** sum, char* why,
                            size_t room) noexcept {
  return catching(why, room, [&] {
    const at::Tensor all = at::empty({static_cast<int64_t>(n)}, at::kDouble);
    std::copy_n(numbers, n, all.data_ptr<double>());
    *sum = new Sum{all, gang->sum_beside(all)};
  });
}

size_t swath_gang_end_sum(Sum* sum, double* numbers, size_t n, char* why, size_t room) noexcept {
  const std::unique_ptr<Sum> own(sum);
  return catching(why, room, [&] {
    own->future->waitAndThrow();
    const auto most = static_cast<size_t>(own->numbers.numel());
    std::copy_n(own->numbers.data_ptr<double>(), std::min(n, most), numbers);
  });
}

// What the first rank has, to all.
size_t swath_gang_hand_out(const Gang* gang, at::Tensor* const* tensors, size_t n, char* why, size_t room) noexcept {
  return catching(why, room, [&] {
    const at::NoGradGuard no_grad;
    c10d::broadcast_coalesced(gang->group, all(tensors, n), kPiece, 0);
  });
}

// The mean over all ranks, in the place of what each has.
size_t swath_gang_average(const Gang* gang, at::Tensor* const* tensors, size_t n, char* why, size_t room) noexcept {
  return catching(why, room, [&] {
    if (n == 0) return;
    const at::NoGradGuard no_grad;
    const Tensors taken = all(tensors, n);
    Tensors flat;
    for (const at::Tensor& tensor : taken) flat.push_back(tensor.reshape({-1}));
    Tensors joined{at::cat(flat)};
    gang->group->allreduce(joined)->wait();
    joined[0].div_(gang->group->getSize());
    int64_t at = 0;
    for (const at::Tensor& tensor : taken) {
      tensor.copy_(joined[0].narrow(0, at, tensor.numel()).view_as(tensor));
      at += tensor.numel();
    }
  });
}

// Words of the first rank under a name that is used once.
size_t swath_gang_tell(const Gang* gang, const char* name, const uint8_t* words, size_t n, char* why,
                       size_t room) noexcept {
  return catching(why, room, [&] { gang->store->set(name, std::vector<uint8_t>(words, words + n)); });
}

// Waits for them. `take` is given them.
size_t swath_gang_hear(const Gang* gang, const char* name, void (*take)(void*, const uint8_t*, size_t), void* taker,
                       char* why, size_t room) noexcept {
  return catching(why, room, [&] {
    const auto words = gang->store->get(name);
    take(taker, words.data(), words.size());
  });
}

size_t swath_gang_reducer(const Gang* gang, at::Tensor* const* parameters, size_t n, Reducer** reducer, char* why,
                          size_t room) noexcept {
  return catching(why, room, [&] {
    Tensors taken;
    for (size_t i = 0; i < n; ++i) taken.push_back(*parameters[i]);
    const std::vector<bool> sparse(n, false);
    const int64_t bucket = n > 0 && taken[0].is_cuda() ? kBucketOfCards : kBucket;
    const std::vector<size_t> limits{static_cast<size_t>(kFirstBucket), static_cast<size_t>(bucket)};
    auto buckets = std::get<0>(c10d::compute_bucket_assignment_by_size(taken, limits, sparse));
    // The last layers' gradients are there first.
    std::reverse(buckets.begin(), buckets.end());
    auto overlap = std::make_shared<Overlap>();
    auto made = std::make_unique<c10d::Reducer>(
        taken, std::move(buckets), gang->group, sparse, bucket,
        /*find_unused_parameters=*/false, /*gradient_as_bucket_view=*/true,
        std::unordered_map<size_t, std::string>(), kFirstBucket,
        /*skip_all_reduce_unused_params=*/false, /*use_python_reducer=*/false, std::vector<int64_t>());
    made->register_comm_hook(std::make_unique<Summing>(gang, overlap));
    *reducer = new Reducer{std::move(overlap), std::move(made)};
  });
}

void swath_gang_reducer_end(Reducer* reducer) noexcept { delete reducer; }

size_t swath_gang_before_forward(Reducer* reducer, char* why, size_t room) noexcept {
  return catching(why, room, [&] {
    reducer->reducer->prepare_for_forward();
    reducer->reducer->rebuild_buckets();
  });
}

size_t swath_gang_before_backward(Reducer* reducer, char* why, size_t room) noexcept {
  return catching(why, room, [&] { reducer->reducer->prepare_for_backward({}); });
}

void swath_gang_overlap(const Reducer* reducer, double* summing_s, double* exposed_s) noexcept {
  std::tie(*summing_s, *exposed_s) = reducer->overlap->seconds();
}

}  // extern "C"
