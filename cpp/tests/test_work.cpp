// Calls that share the threads: every task once, in a wavefront after those it waits for, and an end where one throws.
#include <atomic>
#include <cstdio>
#include <cstdlib>
#include <stdexcept>
#include <vector>

#include "lstm.h"
#include "problem.h"
#include "work.h"

namespace {

using namespace quadgate;
using namespace quadgate::testing;

void expect_that(bool condition, const char* what) {
  if (condition) return;
  std::fprintf(stderr, "work: %s\n", what);
  std::_Exit(1);
}

std::vector<const Work*> all(const std::vector<Work>& works) {
  std::vector<const Work*> found;
  for (const Work& work : works) found.push_back(&work);
  return found;
}

void beside() {
  for (const int threads : {0, 1, 2, 5}) {
    std::vector<int> calls(10, 0);
    int finished = 0;
    const std::vector<Work> works{{3, [&](std::size_t k) { ++calls[k]; }, [&] { ++finished; }},
                                  {0, [&](std::size_t) { std::abort(); }, {}},
                                  {7, [&](std::size_t k) { ++calls[3 + k]; }, [&] { ++finished; }}};
    run_beside(all(works), threads);
    for (const int count : calls) expect_that(count == 1, "a task was missed");
    expect_that(finished == 2, "an end was missed");
  }
  run_beside({}, 2);
}

// Each task reads, without any lock, what those that it waits for wrote: the thread sanitizer sees it if they had not ended.
void behind() {
  constexpr std::size_t kTasks = 200;
  for (const int threads : {0, 1, 2, 3, 8}) {
    for (const std::size_t calls : {1, 2, 5}) {
      std::vector<std::vector<int>> written(calls, std::vector<int>(kTasks, 0));
      std::vector<Work> works;
      for (std::size_t c = 0; c < calls; ++c) {
        works.push_back({kTasks, [&, c](std::size_t k) {
          expect_that(k == 0 || written[c][k - 1] == 1, "a task before the one before it");
          expect_that(c == 0 || written[c - 1][k] == 1, "a task before what it reads");
          ++written[c][k];
        }, {}});
      }
      run_behind(all(works), threads);
      for (const auto& one : written) {
        for (const int count : one) expect_that(count == 1, "a task was missed or ran twice");
      }
    }
  }
  run_behind({}, 2);
}

void ends_where_a_task_throws() {
  for (const int threads : {1, 2, 3}) {
    for (int turn = 0; turn < 50; ++turn) {
      const auto work = [&](std::size_t at) {
        return Work{20, [at](std::size_t k) { if (k == at) throw std::runtime_error("thrown"); }, {}};
      };
      const std::vector<Work> works{work(20), work(7), work(20)};
      bool caught = false;
      try {
        run_behind(all(works), threads);
      } catch (const std::runtime_error&) {
        caught = true;
      }
      expect_that(caught, "an exception was lost");
    }
  }
}

void steps_have_the_bits_of_one_call() {
  LstmCell cell;
  cell.inputs = 5, cell.units = cell.width = 17, cell.forget_bias = 1;
  Problem<float> p(cell, 3, 23, 1.0);
  p.lengths = {23, 0, 11};
  const Results<float> expected = run_forward(p, 1);
  const Lstm<float> layer(cell, p.weights.read(cell), false);
  for (const std::int64_t steps : {1, 4, 23, 64}) {
    Results<float> found(p);
    const Work work = layer.forward_steps(found.call(p), steps);
    run_behind({&work}, 2);
    expect_that(found == expected, "other bits in steps than in one call");
  }
}

}  // namespace

int main() {
  beside();
  behind();
  ends_where_a_task_throws();
  steps_have_the_bits_of_one_call();
}
