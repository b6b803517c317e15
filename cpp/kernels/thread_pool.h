// Threads of our own: a second OpenMP runtime beside torch's oversubscribes the processor, and libgomp hangs in a
// child after fork().
//
// The pool is made on first use and lives as long as the process; a child after fork() gets a new one. One call at a
// time has the workers: a call from inside another call, or while another Python thread's call has them, runs on the
// calling thread alone. So no call waits for another, and none can deadlock.
#pragma once

#include <cstddef>
#include <functional>

namespace quadgate {

// Calls task(k) for every k in [0, tasks), on the calling thread and at most threads - 1 others. Which thread takes
// which task is not determined: tasks write disjoint outputs. Where a task throws, tasks not yet begun are dropped and
// the first exception is thrown again here.
void parallel_for(int threads, std::size_t tasks, const std::function<void(std::size_t)>& task);

// Calls function(member, members) once for every member in [0, members), all of them running at the same time, so that
// they may wait for each other; member 0 is the calling thread. members is at most threads, and 1 where the workers are
// not to be had. The function must not throw where members wait for each other.
void run_together(int threads, const std::function<void(int member, int members)>& function);

}  // namespace quadgate
