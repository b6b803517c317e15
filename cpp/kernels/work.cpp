#include "work.h"

#include <atomic>
#include <thread>

#include "thread_pool.h"

namespace quadgate {
namespace {

// A task is as long as this many looks, or longer; who waits for longer lets others have the processor.
constexpr int kLooks = 2000;

void finish(const std::vector<const Work*>& works) {
  for (const Work* work : works) {
    if (work->finish) work->finish();
  }
}

}  // namespace

void run_beside(const std::vector<const Work*>& works, int threads) {
  std::size_t tasks = 0;
  for (const Work* work : works) tasks += work->tasks;
  parallel_for(threads, tasks, [&](std::size_t k) {
    const Work* const* work = works.data();
    for (; k >= (*work)->tasks; ++work) k -= (*work)->tasks;
    (*work)->task(k);
  });
  finish(works);
}

void run_behind(const std::vector<const Work*>& works, int threads) {
  const std::size_t calls = works.size(), tasks = calls == 0 ? 0 : works[0]->tasks;
  std::vector<std::atomic<std::size_t>> done(calls);  // tasks of each call
  std::atomic<bool> failed{false};
  const auto wait_for = [&](std::size_t call, std::size_t wanted) {
    for (int look = 0; done[call].load(std::memory_order_acquire) < wanted && !failed; ++look) {
      if (look >= kLooks) std::this_thread::yield();
    }
  };
  // Wave after wave, and the pool hands tasks out in this order: what a task waits for was begun before it, so that one
  // thread is enough.
  parallel_for(threads, calls == 0 ? 0 : (tasks + calls - 1) * calls, [&](std::size_t k) {
    const std::size_t call = k % calls, wave = k / calls;
    if (wave < call || wave - call >= tasks) return;
    const std::size_t part = wave - call;
    wait_for(call, part);
    if (call > 0) wait_for(call - 1, part + 1);
    if (failed) return;
    try {
      works[call]->task(part);
    } catch (...) {
      failed = true;
      throw;
    }
    done[call].store(part + 1, std::memory_order_release);
  });
  finish(works);
}

}  // namespace quadgate
