#include "shared.hpp"

#include <ATen/ATen.h>
#include <fcntl.h>
#include <linux/futex.h>
#include <poll.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <climits>
#include <cstring>
#include <string>
#include <utility>

namespace swath {

namespace {

using Clock = std::chrono::steady_clock;

// Gradients come in buckets of about as much; what is more goes piece by piece.
constexpr size_t kSlot = 4 << 20, kSmallSlot = 64 << 10;
// Of numbers that stay in a processor's first cache while all ranks' are added.
constexpr size_t kBlock = 2048;
// How often it is looked whether those who are waited for are still there.
constexpr long kLookEveryNs = 100'000'000;
// In the store.
constexpr const char *kPath = "shared/path", *kIdentity = "shared/identity";

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
};

size_t Lane::bytes(int size, size_t slot) { return pages(size * sizeof(Seat)) + pages(2 * size * slot); }

Lane::Lane(char* at, int rank, const std::vector<int>& processes, size_t slot, std::chrono::milliseconds timeout)
    : seats_(reinterpret_cast<Seat*>(at)),
      slots_(at + pages(processes.size() * sizeof(Seat))),
      rank_(rank),
      size_(static_cast<int>(processes.size())),
      slot_(slot),
      timeout_(timeout) {
  for (const int process : processes) processes_.push_back(static_cast<int>(syscall(SYS_pidfd_open, process, 0)));
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
    const bool is_gone = seat.has_left || has_ended(processes_[other]);
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

namespace {

// A file that only memory holds, and what tells it from any other: a path that is looked up where processes have other
// numbers may lead to somebody else's.
struct File {
  int descriptor;

  explicit File(int of) : descriptor(of) {}
  File(const File&) = delete;
  ~File() {
    if (descriptor >= 0) close(descriptor);
  }

  std::string identity() const {
    struct stat about{};
    if (descriptor < 0 || fstat(descriptor, &about) != 0) return "";
    return std::to_string(about.st_dev) + ":" + std::to_string(about.st_ino) + ":" + std::to_string(about.st_size);
  }
};

std::string read(c10d::Store& store, const char* name) {
  const auto bytes = store.get(name);
  return {bytes.begin(), bytes.end()};
}

void write(c10d::Store& store, const char* name, const std::string& text) {
  store.set(name, std::vector<uint8_t>(text.begin(), text.end()));
}

// The first rank's, by all; of no memory where that can't be had.
int memory(c10d::Store& store, int rank, size_t length) {
  if (rank == 0) {
    File file(static_cast<int>(syscall(SYS_memfd_create, "swath-gang", MFD_CLOEXEC)));
    const bool is_whole = file.descriptor >= 0 && ftruncate(file.descriptor, static_cast<off_t>(length)) == 0;
    write(store, kPath, "/proc/" + std::to_string(getpid()) + "/fd/" + std::to_string(file.descriptor));
    write(store, kIdentity, is_whole ? file.identity() : "none");
    return is_whole ? std::exchange(file.descriptor, -1) : -1;
  }
  File file(open(read(store, kPath).c_str(), O_RDWR | O_CLOEXEC));
  return read(store, kIdentity) == file.identity() ? std::exchange(file.descriptor, -1) : -1;
}

}  // namespace

std::unique_ptr<SharedSums> SharedSums::open(c10d::Store& store, c10d::ProcessGroup& group,
                                             std::chrono::milliseconds timeout) {
  const int rank = group.getRank(), size = group.getSize();
  const size_t length = Lane::bytes(size, kSlot) + Lane::bytes(size, kSmallSlot);
  const File file(memory(store, rank, length));
  void* at = MAP_FAILED;
  if (file.descriptor >= 0) at = mmap(nullptr, length, PROT_READ | PROT_WRITE, MAP_SHARED, file.descriptor, 0);
  // How many have it open, and who they are.
  std::vector<at::Tensor> told{at::zeros({1 + size}, at::kDouble)};
  told[0][0] = at == MAP_FAILED ? 0.0 : 1.0;
  told[0][1 + rank] = static_cast<double>(getpid());
  group.allreduce(told)->wait();
  const auto* all = told[0].data_ptr<double>();
  if (all[0] < size) {
    if (at != MAP_FAILED) munmap(at, length);
    return nullptr;
  }
  const std::vector<int> processes(all + 1, all + 1 + size);
  return std::unique_ptr<SharedSums>(new SharedSums(static_cast<char*>(at), length, rank, processes, timeout));
}

SharedSums::SharedSums(char* at, size_t length, int rank, const std::vector<int>& processes,
                       std::chrono::milliseconds timeout)
    : at_(at),
      length_(length),
      beside_(std::make_unique<Lane>(at, rank, processes, kSlot, timeout)),
      now_(std::make_unique<Lane>(at + Lane::bytes(static_cast<int>(processes.size()), kSlot), rank, processes,
                                  kSmallSlot, timeout)),
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
