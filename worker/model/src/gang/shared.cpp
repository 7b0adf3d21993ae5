#include "shared.hpp"

#include <ATen/ATen.h>
#include <fcntl.h>
#include <linux/futex.h>
#include <poll.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <climits>
#include <cstring>
#include <string>

namespace swath {

namespace {

using Clock = std::chrono::steady_clock;

// Gradients come in buckets of about as much; what is more goes piece by piece.
constexpr size_t kSlot = 4 << 20, kSmallSlot = 64 << 10;
// Of numbers that stay in a processor's first cache while all ranks' are added.
constexpr size_t kBlock = 2048;
// How often it is looked whether those who are waited for are still there.
constexpr long kLookEveryNs = 100'000'000;
constexpr const char* kName = "shared memory";

size_t pages(size_t bytes) {
  const auto page = static_cast<size_t>(sysconf(_SC_PAGESIZE));
  return (bytes + page - 1) / page * page;
}

bool has_ended(int process) {
  pollfd asked{process, POLLIN, 0};
  return process >= 0 && poll(&asked, 1, 0) == 1;
}

}  // namespace

// Each in a line of its own of the processor's cache.
struct alignas(64) Lane::Seat {
  // Pieces that it has brought.
  std::atomic<uint32_t> turn;
  std::atomic<uint32_t> has_left;
  std::atomic<int32_t> process;
};

size_t Lane::bytes(int size, size_t slot) { return pages(size * sizeof(Seat)) + pages(2 * size * slot); }

Lane::Lane(char* at, int rank, int size, size_t slot, std::chrono::milliseconds timeout)
    : seats_(reinterpret_cast<Seat*>(at)),
      slots_(at + pages(size * sizeof(Seat))),
      rank_(rank),
      size_(size),
      slot_(slot),
      timeout_(timeout) {
  seats_[rank].process = getpid();
  // From here on it is known who they are.
  arrive();
  for (int other = 0; other < size; ++other) {
    await(other);
    processes_.push_back(static_cast<int>(syscall(SYS_pidfd_open, seats_[other].process.load(), 0)));
  }
}

Lane::~Lane() {
  leave();
  for (const int process : processes_) {
    if (process >= 0) close(process);
  }
}

void Lane::leave() { seats_[rank_].has_left = 1; }

// There are two a rank: while some still read one piece, others write the next. Nobody is further, since that takes
// all to have brought theirs.
char* Lane::slot(int of) const { return slots_ + (2 * of + turn_ % 2) * slot_; }

void Lane::arrive() {
  auto& turn = seats_[rank_].turn;
  turn.store(++turn_, std::memory_order_release);
  syscall(SYS_futex, &turn, FUTEX_WAKE, INT_MAX, nullptr, nullptr, 0);
}

void Lane::await(int other) {
  Seat& seat = seats_[other];
  const auto until = Clock::now() + timeout_;
  for (;;) {
    const uint32_t seen = seat.turn.load(std::memory_order_acquire);
    if (static_cast<int32_t>(seen - turn_) >= 0) return;
    TORCH_CHECK(!seats_[rank_].has_left, "gang/shared: this rank has left");
    const bool is_gone =
        seat.has_left || (static_cast<size_t>(other) < processes_.size() && has_ended(processes_[other]));
    // It may have brought its piece before it went.
    if (is_gone && seat.turn.load(std::memory_order_acquire) == seen) {
      TORCH_CHECK(false, "gang/shared: rank ", other, " has left");
    }
    TORCH_CHECK(Clock::now() < until, "gang/shared: rank ", other, " is not heard of for ", timeout_.count(), " ms");
    const timespec look{0, kLookEveryNs};
    syscall(SYS_futex, &seat.turn, FUTEX_WAIT, seen, &look, nullptr, 0);
  }
}

template <typename T>
void Lane::sum(T* numbers, size_t n) {
  for (size_t most = slot_ / sizeof(T); n > 0;) {
    const size_t piece = std::min(n, most);
    // The slot of the turn that comes with its arrival.
    ++turn_;
    std::memcpy(slot(rank_), numbers, piece * sizeof(T));
    --turn_;
    arrive();
    for (int other = 0; other < size_; ++other) await(other);
    for (size_t from = 0; from < piece; from += kBlock) {
      const size_t length = std::min(kBlock, piece - from);
      T* into = numbers + from;
      // In the order of ranks, whoever does it.
      std::memcpy(into, reinterpret_cast<const T*>(slot(0)) + from, length * sizeof(T));
      for (int other = 1; other < size_; ++other) {
        const T* add = reinterpret_cast<const T*>(slot(other)) + from;
        for (size_t i = 0; i < length; ++i) into[i] += add[i];
      }
    }
    numbers += piece;
    n -= piece;
  }
}

void Lane::sum(at::Tensor& numbers) {
  TORCH_CHECK(numbers.is_contiguous() && numbers.is_cpu(), "gang/shared: numbers that do not lie side by side");
  const auto n = static_cast<size_t>(numbers.numel());
  switch (numbers.scalar_type()) {
    case at::kFloat:
      return sum(numbers.data_ptr<float>(), n);
    case at::kDouble:
      return sum(numbers.data_ptr<double>(), n);
    default:
      TORCH_CHECK(false, "gang/shared: sums of ", numbers.scalar_type());
  }
}

std::unique_ptr<SharedSums> SharedSums::open(c10d::Store& store, c10d::ProcessGroup& group,
                                             std::chrono::milliseconds timeout) {
  const int rank = group.getRank(), size = group.getSize();
  const size_t length = Lane::bytes(size, kSlot) + Lane::bytes(size, kSmallSlot);
  int file = -1;
  if (rank == 0) {
    file = static_cast<int>(syscall(SYS_memfd_create, "swath-gang", MFD_CLOEXEC));
    if (file >= 0 && ftruncate(file, static_cast<off_t>(length)) != 0) {
      close(file);
      file = -1;
    }
    const std::string path = "/proc/" + std::to_string(getpid()) + "/fd/" + std::to_string(file);
    store.set(kName, std::vector<uint8_t>(path.begin(), path.end()));
  } else {
    const auto path = store.get(kName);
    file = ::open(std::string(path.begin(), path.end()).c_str(), O_RDWR | O_CLOEXEC);
  }
  void* at = MAP_FAILED;
  if (file >= 0) at = mmap(nullptr, length, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
  // All have it open by then, or have not found it.
  std::vector<at::Tensor> reached{at::full({1}, at == MAP_FAILED ? 0.0 : 1.0, at::kDouble)};
  group.allreduce(reached)->wait();
  if (file >= 0) close(file);
  if (reached[0].item<double>() < size) {
    if (at != MAP_FAILED) munmap(at, length);
    return nullptr;
  }
  return std::unique_ptr<SharedSums>(new SharedSums(static_cast<char*>(at), length, rank, size, timeout));
}

SharedSums::SharedSums(char* at, size_t length, int rank, int size, std::chrono::milliseconds timeout)
    : at_(at),
      length_(length),
      beside_(std::make_unique<Lane>(at, rank, size, kSlot, timeout)),
      now_(std::make_unique<Lane>(at + Lane::bytes(size, kSlot), rank, size, kSmallSlot, timeout)),
      thread_([this] { work(); }) {}

SharedSums::~SharedSums() {
  {
    const std::lock_guard guard(lock_);
    over_ = true;
  }
  beside_->leave();
  changed_.notify_all();
  thread_.join();
  beside_.reset();
  now_.reset();
  munmap(at_, length_);
}

Future SharedSums::sum_beside(const at::Tensor& numbers) {
  auto future = c10::make_intrusive<c10::ivalue::Future>(c10::TensorType::get());
  {
    const std::lock_guard guard(lock_);
    waiting_.emplace_back(numbers, future);
  }
  changed_.notify_all();
  return future;
}

void SharedSums::work() {
  for (;;) {
    std::unique_lock guard(lock_);
    changed_.wait(guard, [this] { return over_ || !waiting_.empty(); });
    if (waiting_.empty()) return;
    auto [numbers, future] = std::move(waiting_.front());
    waiting_.pop_front();
    guard.unlock();
    try {
      beside_->sum(numbers);
      future->markCompleted(numbers);
    } catch (...) {
      future->setErrorIfNeeded(std::current_exception());
    }
  }
}

}  // namespace swath
