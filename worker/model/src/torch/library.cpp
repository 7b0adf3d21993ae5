// What tch does not ask of the engine: what it says of itself at run time, that it takes its memory where it is told
// to, and that on cards it computes the same way each time.

#include <ATen/Context.h>
#include <ATen/Version.h>
#include <c10/core/CPUAllocator.h>

#include <algorithm>
#include <cstddef>
#include <string>

namespace {

// Writes what fits and returns the whole length; 0 where there is nothing to say.
template <typename Say>
size_t write(Say say, char* out, size_t room) noexcept {
  try {
    const std::string text = say();
    std::copy_n(text.data(), std::min(room, text.size()), out);
    return text.size();
  } catch (...) {
    return 0;
  }
}

using Take = void* (*)(size_t);
using Give = bool (*)(void*);

// Smaller blocks are of no weight.
constexpr size_t kLarge = 64 << 10;

Take take_block = nullptr;
Give give_block = nullptr;

void free_block(void* block) {
  if (!give_block(block)) c10::GetDefaultCPUAllocator()->raw_deallocate(block);
}

// Large blocks from where it is told to, all others as it comes.
class Blocks final : public c10::Allocator {
 public:
  c10::DataPtr allocate(size_t n) override {
    void* block = n >= kLarge ? take_block(n) : nullptr;
    // Without memory it throws what the engine always throws.
    if (block == nullptr) block = c10::GetDefaultCPUAllocator()->raw_allocate(n);
    return {block, block, &free_block, c10::Device(c10::DeviceType::CPU)};
  }
  c10::DeleterFnPtr raw_deleter() const override { return &free_block; }
  void copy_data(void* to, const void* from, size_t n) const override { default_copy_data(to, from, n); }
};

}  // namespace

// To be called once, before the engine has memory: its blocks go back to where they are from.
extern "C" void swath_engine_use_blocks(Take take, Give give) {
  static Blocks blocks;
  take_block = take;
  give_block = give;
  c10::SetCPUAllocator(&blocks);
}

// On cards: kernels chosen by rule and not by trying them out, none that adds up in another order each time, and 32
// bits that are 32 bits.
extern "C" bool swath_engine_fix_kernels() noexcept {
  try {
    at::globalContext().setBenchmarkCuDNN(false);
    at::globalContext().setDeterministicCuDNN(true);
    at::globalContext().setAllowTF32CuDNN(false);
    return true;
  } catch (...) {
    return false;
  }
}

extern "C" size_t swath_engine_config(char* out, size_t room) noexcept {
  return write(at::show_config, out, room);
}

extern "C" size_t swath_engine_cpu_capability(char* out, size_t room) noexcept {
  return write(at::get_cpu_capability, out, room);
}
