// A block of CUDA threads on a CPU: fibers of one thread, run in an order that is chosen, or with EMULATE_WITH_THREADS
// threads of the operating system, for a sanitizer to watch.
//
// Between two barriers the threads of a block may run in any order. Here one warp after the other, in ascending,
// descending or shuffled order, runs as far as it can without the others, so that a result that depends on the order, a
// race, shows in a comparison.
#pragma once

#include <cstdio>
#include <cstdlib>
#include <deque>
#include <utility>
#include <vector>

#ifdef EMULATE_WITH_THREADS
#include <pthread.h>

#include <thread>
#else
#include <ucontext.h>
#endif

struct Index {
    unsigned x;
};
inline thread_local Index threadIdx{}, blockIdx{};

[[noreturn]] inline void fail(const char* text) {
    std::fprintf(stderr, "emulated block: %s\n", text);
    std::abort();
}

class Meeting;
void wait_for(const Meeting& meeting, unsigned round);

// Where a number of threads meet: all go on when all are there.
class Meeting {
  public:
    explicit Meeting(int expected) : expected_(expected) {
#ifdef EMULATE_WITH_THREADS
        pthread_barrier_init(&barrier_, nullptr, static_cast<unsigned>(expected));
#endif
    }
    Meeting(const Meeting&) = delete;

    void meet(const char* why) {
#ifdef EMULATE_WITH_THREADS
        static_cast<void>(why);
        pthread_barrier_wait(&barrier_);
#else
        if (arrived_ > 0 && why_ != why) {
            fail("threads meet for different reasons");
        }
        why_ = why;
        const unsigned mine = round_;
        if (++arrived_ == expected_) {
            arrived_ = 0;
            ++round_;
        }
        if (round_ == mine) {
            wait_for(*this, mine);
        }
#endif
    }

#ifndef EMULATE_WITH_THREADS
    unsigned round() const { return round_; }
#endif

  private:
    int expected_;
#ifdef EMULATE_WITH_THREADS
    pthread_barrier_t barrier_;
#else
    int arrived_ = 0;
    unsigned round_ = 0;
    const char* why_ = nullptr;
#endif
};

struct Warp : Meeting {
    Warp() : Meeting(32) {}
    unsigned words[32][10];
    float results[32][4];
};

inline std::deque<Warp> warps;
inline std::deque<Meeting> blocks;  // one
inline Warp& this_warp() { return warps[threadIdx.x / 32]; }
inline Meeting& this_block() { return blocks.front(); }

#ifndef EMULATE_WITH_THREADS
struct Fiber {
    ucontext_t context;
    std::vector<char> stack = std::vector<char>(1 << 16);
    bool done = false;
    const Meeting* meeting = nullptr;  // that it waits for
    unsigned round = 0;

    bool can_run() const { return !done && (meeting == nullptr || meeting->round() != round); }
};
inline std::deque<Fiber> fibers;
inline ucontext_t scheduler;

inline void leave() { swapcontext(&fibers[threadIdx.x].context, &scheduler); }

inline void wait_for(const Meeting& meeting, unsigned round) {
    fibers[threadIdx.x].meeting = &meeting;
    fibers[threadIdx.x].round = round;
    leave();
}

template <class Kernel>
const Kernel* body;

template <class Kernel>
void start_fiber() {
    (*body<Kernel>)();
    fibers[threadIdx.x].done = true;
    leave();
}
#endif

// Runs the threads of one block. order: 0 ascending, 1 descending, else the seed of a shuffle.
template <class Kernel>
void run_block(unsigned number, unsigned threads, unsigned order, const Kernel& kernel) {
    warps.clear();
    for (unsigned warp = 0; warp < threads / 32; ++warp) {
        warps.emplace_back();
    }
    blocks.clear();
    blocks.emplace_back(static_cast<int>(threads));
#ifdef EMULATE_WITH_THREADS
    static_cast<void>(order);
    std::vector<std::thread> all;
    for (unsigned thread = 0; thread < threads; ++thread) {
        all.emplace_back([&, thread] {
            threadIdx.x = thread;
            blockIdx.x = number;
            kernel();
        });
    }
    for (std::thread& thread : all) {
        thread.join();
    }
#else
    blockIdx.x = number;
    body<Kernel> = &kernel;
    std::vector<unsigned> turns(threads / 32);
    for (unsigned place = 0; place < turns.size(); ++place) {
        turns[place] = order == 1 ? static_cast<unsigned>(turns.size()) - 1 - place : place;
    }
    for (unsigned place = static_cast<unsigned>(turns.size()) - 1, random = order; order > 1 && place > 0; --place) {
        random = random * 1664525 + 1013904223;
        std::swap(turns[place], turns[(random >> 8) % (place + 1)]);
    }
    fibers.resize(threads);
    for (Fiber& fiber : fibers) {
        fiber.done = false;
        fiber.meeting = nullptr;
        getcontext(&fiber.context);
        fiber.context.uc_stack.ss_sp = fiber.stack.data();
        fiber.context.uc_stack.ss_size = fiber.stack.size();
        makecontext(&fiber.context, start_fiber<Kernel>, 0);
    }
    const auto run = [&](unsigned thread) {
        const bool runs = fibers[thread].can_run();
        if (runs) {
            threadIdx.x = thread;
            swapcontext(&scheduler, &fibers[thread].context);
        }
        return runs;
    };
    for (bool progress = true; progress;) {
        progress = false;
        for (const unsigned warp : turns) {
            for (bool here = true; here; progress |= here) {
                here = false;
                for (unsigned lane = 0; lane < 32; ++lane) {
                    here |= run(32 * warp + (order == 1 ? 31 - lane : lane));
                }
            }
        }
    }
    for (const Fiber& fiber : fibers) {
        if (!fiber.done) {
            fail("threads wait for one that has ended");
        }
    }
#endif
}
