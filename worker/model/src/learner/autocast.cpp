// 16 bits for what gains by them and loses little: PyTorch's own lists of operations, which tch knows for cards alone.

#include <ATen/autocast_mode.h>

#include <cstdint>

namespace {

enum class Kind : int32_t { kBf16, kFp16 };

}  // namespace

// Of this thread, until it is ended. Not nested.
extern "C" void swath_learner_begin_autocast(Kind kind) noexcept {
  at::autocast::set_autocast_dtype(at::kCPU, kind == Kind::kBf16 ? at::kBFloat16 : at::kHalf);
  // Each weight is taken once in a pass, so there is nothing to keep.
  at::autocast::set_autocast_cache_enabled(false);
  at::autocast::set_autocast_enabled(at::kCPU, true);
}

extern "C" void swath_learner_end_autocast() noexcept { at::autocast::set_autocast_enabled(at::kCPU, false); }
