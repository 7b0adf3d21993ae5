// NCCL for gangs on cards: a library of its own, which is opened where ranks compute on cards and nowhere else. What NCCL
// needs is in libtorch_cuda.so; this only makes a group of it, which takes NVIDIA's headers, and no compiler of theirs.
// It is linked to nothing: whoever opens it has opened libtorch's halves before.

#include <torch/csrc/distributed/c10d/ProcessGroupNCCL.hpp>
#include <torch/version.h>

#include "../../cpp/catching.hpp"
#include "nccl.hpp"

extern "C" {

// A group is laid out here as libtorch lays it out: that of another version may be another.
const char* swath_nccl_is_for() noexcept { return TORCH_VERSION; }

size_t swath_nccl_group(const c10::intrusive_ptr<c10d::Store>& store, int rank, int size, int64_t timeout_ms, int card,
                        c10::intrusive_ptr<c10d::Backend>& group, char* why, size_t room) noexcept {
  return swath::catching(why, room, [&] {
    auto options = c10d::ProcessGroupNCCL::Options::create();
    options->timeout = std::chrono::milliseconds(timeout_ms);
    auto nccl = c10::make_intrusive<c10d::ProcessGroupNCCL>(store, rank, size, std::move(options));
    nccl->setBoundDeviceId(at::Device(at::kCUDA, static_cast<c10::DeviceIndex>(card)));
    group = std::move(nccl);
  });
}

}  // extern "C"

static_assert(std::is_same_v<decltype(&swath_nccl_group), swath::NcclGroup>);
