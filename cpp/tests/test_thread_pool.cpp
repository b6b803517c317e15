// The pool: every task once, in a child after fork(), from several callers, from inside a task, and when a task throws.
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <stdexcept>
#include <thread>
#include <vector>

#include "thread_pool.h"

namespace {

using quadgate::parallel_for;
using quadgate::run_together;

void expect(bool condition, const char* what) {
  if (condition) return;
  std::fprintf(stderr, "thread pool: %s\n", what);
  std::_Exit(1);
}

bool every_task_runs_once(int threads, std::size_t tasks) {
  std::vector<int> calls(tasks, 0);
  parallel_for(threads, tasks, [&](std::size_t k) { ++calls[k]; });
  for (const int count : calls) {
    if (count != 1) return false;
  }
  return true;
}

void counts() {
  for (const int threads : {-1, 0, 1, 2, 3, 7}) {
    for (const std::size_t tasks : {0, 1, 2, 3, 101}) expect(every_task_runs_once(threads, tasks), "a task was missed");
  }
  for (int call = 0; call < 20000; ++call) expect(every_task_runs_once(3, 4), "a task was missed in a row of calls");
}

void after_sleep() {
  for (int call = 0; call < 20; ++call) {
    std::this_thread::sleep_for(std::chrono::milliseconds(2));
    expect(every_task_runs_once(3, 16), "a task was missed after the workers slept");
  }
}

// Every member waits for all the others at each of many steps: this ends only if all of them run at the same time.
void together() {
  for (const int threads : {1, 2, 3}) {
    std::atomic<int> arrived{0};
    std::atomic<int> size{0};
    run_together(threads, [&](int, int members) {
      size = members;
      for (int step = 1; step <= 100; ++step) {
        ++arrived;
        while (arrived.load() < step * members) std::this_thread::yield();
      }
    });
    expect(size == threads && arrived == 100 * threads, "members did not run together");
  }
}

void nested() {
  std::atomic<int> calls{0};
  parallel_for(3, 5, [&](std::size_t) {
    parallel_for(3, 7, [&](std::size_t) { ++calls; });
    run_together(3, [&](int, int members) { expect(members == 1, "a nested call got workers"); });
  });
  expect(calls == 35, "nested calls were lost");
}

void several_callers() {
  std::atomic<bool> good{true};
  std::vector<std::thread> callers;
  for (int caller = 0; caller < 4; ++caller) {
    callers.emplace_back([&] {
      for (int call = 0; call < 500; ++call) {
        if (!every_task_runs_once(3, 10)) good = false;
      }
    });
  }
  for (std::thread& caller : callers) caller.join();
  expect(good, "a task was missed with several callers");
}

void exceptions() {
  for (int call = 0; call < 100; ++call) {
    bool caught = false;
    try {
      parallel_for(3, 50, [](std::size_t k) {
        if (k % 7 == 3) throw std::runtime_error("a task");
      });
    } catch (const std::runtime_error&) {
      caught = true;
    }
    expect(caught, "an exception was lost");
  }
  expect(every_task_runs_once(3, 50), "the pool is not usable after an exception");
}

int status_of_child(bool (*work)()) {
  const pid_t child = fork();
  if (child == 0) std::_Exit(work() ? 0 : 1);
  int status = -1;
  waitpid(child, &status, 0);
  return status;
}

[[maybe_unused]] void forks() {
  const auto work = [] { return every_task_runs_once(3, 100) && every_task_runs_once(2, 3); };
  expect(status_of_child(work) == 0, "a child after fork() does not work");
  const auto forks_again = [] {
    return every_task_runs_once(3, 100) && status_of_child([] { return every_task_runs_once(3, 100); }) == 0;
  };
  expect(status_of_child(forks_again) == 0, "a grandchild does not work");
  expect(every_task_runs_once(3, 100), "the parent does not work after fork()");

  std::atomic<bool> stop{false};
  std::thread busy([&] {
    while (!stop) every_task_runs_once(3, 100);
  });
  for (int call = 0; call < 20; ++call) {
    expect(status_of_child(work) == 0, "a child made while the pool was at work does not work");
  }
  stop = true;
  busy.join();
}

}  // namespace

int main() {
  counts();
  after_sleep();
  together();
  nested();
  several_callers();
  exceptions();
#if !defined(__SANITIZE_THREAD__)  // it has no new threads in the child of a process with several
  forks();
#endif
  std::puts("thread pool: all tests passed");
}
