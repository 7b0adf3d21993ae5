// Errors of C++ in plain bytes: nothing may be thrown into Rust.

#pragma once

#include <c10/util/Exception.h>

#include <algorithm>
#include <cstddef>
#include <exception>
#include <string_view>

namespace swath {

// Writes why it failed, as far as there is room, and returns the whole length; 0 if it did not.
template <typename Do>
size_t catching(char* out, size_t room, Do what) noexcept {
  const auto tell = [&](std::string_view why) {
    if (why.empty()) why = "it says nothing";
    std::copy_n(why.data(), std::min(room, why.size()), out);
    return why.size();
  };
  try {
    what();
    return 0;
  } catch (const c10::Error& error) {
    return tell(error.what_without_backtrace());
  } catch (const std::exception& error) {
    return tell(error.what());
  } catch (...) {
    return tell("");
  }
}

}  // namespace swath
