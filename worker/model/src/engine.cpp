// What the engine says of itself at run time: tch does not ask it.

#include <ATen/Version.h>

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

}  // namespace

extern "C" size_t swath_engine_config(char* out, size_t room) noexcept {
  return write(at::show_config, out, room);
}

extern "C" size_t swath_engine_cpu_capability(char* out, size_t room) noexcept {
  return write(at::get_cpu_capability, out, room);
}
