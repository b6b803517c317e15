#include "thread_pool.h"

#if !defined(_WIN32)
#include <pthread.h>
#endif

#include <algorithm>
#include <atomic>
#include <condition_variable>
#include <exception>
#include <mutex>
#include <new>
#include <thread>
#include <utility>

namespace quadgate {
namespace {

using Function = std::function<void(int member, int members)>;

// Whoever asks for more gets this many: a mistaken setting must not exhaust the machine.
constexpr int kMostThreads = 256;

// A worker looks for the next call this often before it sleeps, about 10 to 50 microseconds: layers of a network
// follow each other faster than that, and a sleeping thread takes about as long to wake.
constexpr int kLooks = 1000;

inline void pause() {
#if defined(__x86_64__)
  __builtin_ia32_pause();
#elif defined(__aarch64__)
  asm volatile("yield");
#endif
}

// True on a worker, and on a caller while it works: what is called from there runs serially.
thread_local bool working = false;

class Pool {
 public:
  // With `together` every seat is taken before the call ends; without, a worker that comes too late is not waited for.
  void run(int threads, bool together, const Function& function) {
    threads = std::min(threads, kMostThreads);
    if (threads <= 1 || working || taken_.exchange(true, std::memory_order_acquire)) {
      function(0, 1);
      return;
    }
    working = true;
    int members;
    {
      const std::lock_guard lock(mutex_);
      hire(threads - 1);
      members = std::min(threads, workers_ + 1);
      function_ = &function;
      members_ = members;
      seats_.store(members - 1, std::memory_order_release);
    }
    call_.notify_all();
    take_part(function, 0, members);

    std::unique_lock lock(mutex_);
    if (!together) seats_.store(0, std::memory_order_relaxed);
    lock.unlock();
    for (int look = 0; look < kLooks && !finished(); ++look) pause();
    lock.lock();
    end_.wait(lock, [this] { return finished(); });
    const std::exception_ptr error = std::exchange(error_, nullptr);
    lock.unlock();
    working = false;
    taken_.store(false, std::memory_order_release);
    if (error) std::rethrow_exception(error);
  }

 private:
  bool finished() const {
    return seats_.load(std::memory_order_acquire) == 0 && busy_.load(std::memory_order_acquire) == 0;
  }

  // Needs the lock. Workers are never dismissed; where the system gives no more, the call makes do with fewer.
  void hire(int wanted) {
    try {
      for (; workers_ < wanted; ++workers_) std::thread([this] { work(); }).detach();
    } catch (const std::exception&) {  // no more threads, or no memory for them
    }
  }

  void work() {
    working = true;
    for (;;) {
      for (int look = 0; look < kLooks && seats_.load(std::memory_order_relaxed) == 0; ++look) pause();
      std::unique_lock lock(mutex_);
      call_.wait(lock, [this] { return seats_.load(std::memory_order_relaxed) > 0; });
      const Function& function = *function_;
      const int members = members_;
      const int member = members - seats_.load(std::memory_order_relaxed);
      busy_.fetch_add(1, std::memory_order_relaxed);
      seats_.fetch_sub(1, std::memory_order_release);
      lock.unlock();
      take_part(function, member, members);
      lock.lock();
      busy_.fetch_sub(1, std::memory_order_release);
      lock.unlock();
      end_.notify_one();
    }
  }

  void take_part(const Function& function, int member, int members) {
    try {
      function(member, members);
    } catch (...) {
      const std::lock_guard lock(mutex_);
      if (!error_) error_ = std::current_exception();
    }
  }

  std::mutex mutex_;
  std::condition_variable call_, end_;
  std::atomic<bool> taken_{false};  // a call has the workers
  int workers_ = 0;
  // The call: written under the lock; seats not yet taken and workers inside are also looked at without it.
  const Function* function_ = nullptr;
  int members_ = 0;
  std::atomic<int> seats_{0};
  std::atomic<int> busy_{0};
  std::exception_ptr error_;
};

// Made in place and never destroyed: workers outlive static destructors, and a child after fork() has neither the
// workers nor, perhaps, an unlocked mutex, so that it makes a new pool over the old one.
alignas(Pool) std::byte storage[sizeof(Pool)];

Pool& pool() {
  static Pool* const made = [] {
    Pool* const first = new (storage) Pool;
#if !defined(_WIN32)
    pthread_atfork(nullptr, nullptr, [] { new (storage) Pool; });
#endif
    return first;
  }();
  return *made;
}

}  // namespace

void parallel_for(int threads, std::size_t tasks, const std::function<void(std::size_t)>& task) {
  std::atomic<std::size_t> next{0};
  const Function claim = [&](int, int) {
    for (;;) {
      const std::size_t k = next.fetch_add(1, std::memory_order_relaxed);
      if (k >= tasks) return;
      try {
        task(k);
      } catch (...) {
        next.store(tasks, std::memory_order_relaxed);
        throw;
      }
    }
  };
  pool().run(static_cast<int>(std::min<std::size_t>(tasks, static_cast<std::size_t>(std::max(threads, 1)))), false,
             claim);
}

void run_together(int threads, const std::function<void(int member, int members)>& function) {
  pool().run(threads, true, function);
}

}  // namespace quadgate
