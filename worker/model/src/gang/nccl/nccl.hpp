// What the plugin and its caller have to say to each other.

#pragma once

#include <torch/csrc/distributed/c10d/Backend.hpp>
#include <torch/csrc/distributed/c10d/Store.hpp>

namespace swath {

// Fills in a group that sums what lies on this card. Writes why it failed, as far as there is room, and returns the whole
// length; 0 if it did not.
using NcclGroup = size_t (*)(const c10::intrusive_ptr<c10d::Store>& store, int rank, int size, int64_t timeout_ms,
                             int card, c10::intrusive_ptr<c10d::Backend>& group, char* why, size_t room) noexcept;

}  // namespace swath
