// A call cut into tasks, so that several calls can share the threads: two directions, or the layers of a stack.
#pragma once

#include <cstddef>
#include <functional>
#include <vector>

namespace quadgate {

struct Work {
  std::size_t tasks = 0;
  std::function<void(std::size_t)> task;  // any order, any thread, unless it is said otherwise
  std::function<void()> finish;           // once all tasks have ended; may be empty
};

// Runs calls that know nothing of each other, all of their tasks as if they were of one call.
void run_beside(const std::vector<const Work*>& works, int threads);

// Runs calls of which each reads what the one before it writes, as a wavefront: task k of a call begins once its own task
// k - 1 and task k of the call before have ended. All have as many tasks.
void run_behind(const std::vector<const Work*>& works, int threads);

}  // namespace quadgate
