// 16 bits for what gains by them and loses little: PyTorch's own lists of operations, for processors and for cards.

#include <ATen/autocast_mode.h>

#include <cstdint>

namespace {

enum class Kind : int32_t { kBf16, kFp16 };

at::DeviceType device(bool on_card) { return on_card ? at::kCUDA : at::kCPU; }

}  // namespace

// Of this thread, until it is ended. Not nested.
extern "C" void swath_learner_begin_autocast(Kind kind, bool on_card) noexcept {
  at::autocast::set_autocast_dtype(device(on_card), kind == Kind::kBf16 ? at::kBFloat16 : at::kHalf);
  // Each weight is taken once in a pass, so there is nothing to keep.
  at::autocast::set_autocast_cache_enabled(false);
  at::autocast::set_autocast_enabled(device(on_card), true);
}

extern "C" void swath_learner_end_autocast(bool on_card) noexcept {
  at::autocast::set_autocast_enabled(device(on_card), false);
}
