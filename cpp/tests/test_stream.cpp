// A step allocates nothing, takes no lock and calls no system: allocations and locks are counted, and the steps of a child
// process run where the kernel of Linux kills it at the first system call.
#include <cstdlib>
#include <memory>
#include <mutex>

#if defined(__linux__)
#include <dlfcn.h>
#include <pthread.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <linux/seccomp.h>
#endif

#include "problem.h"
#include "stream.h"

// operator new takes its memory from these two.
#if defined(__GLIBC__) && !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
constexpr bool kCounted = true;
static long allocations = 0, locks = 0;
extern "C" void* __libc_malloc(std::size_t size);
extern "C" void* __libc_memalign(std::size_t line, std::size_t size);
extern "C" void* malloc(std::size_t size) {
  ++allocations;
  return __libc_malloc(size);
}
extern "C" void* aligned_alloc(std::size_t line, std::size_t size) {
  ++allocations;
  return __libc_memalign(line, size);
}
// std::mutex takes its lock from this; a lock that is free calls no system, so that the child would not notice.
extern "C" int pthread_mutex_lock(pthread_mutex_t* mutex) noexcept {
  ++locks;
  static const auto lock = reinterpret_cast<int (*)(pthread_mutex_t*)>(dlsym(RTLD_NEXT, "pthread_mutex_lock"));
  return lock(mutex);
}
#else
constexpr bool kCounted = false;
static long allocations = 0, locks = 0;
#endif

namespace {

using namespace quadgate;
using namespace quadgate::testing;

// Two layers, scaled, with attention and probabilities: everything that a step can pass through.
struct Network {
  static constexpr std::int64_t C = 5, H = 19, K = 3;

  explicit Network(std::int64_t streams)
      : first(cell(C), streams, 1), second(cell(H), streams, 1), query(H, 0.1f), weights(H * K, 0.2f), biases(K, 0.3f),
        mean(C, 0.5), scale(C, 2.0), head({H, K, Pool::attention}, query.data(), weights.data(), biases.data()),
        carried(static_cast<std::size_t>(streams * carried_size(head.shape())), 0.0),
        lower(first.cell, first.weights.read(first.cell), false),
        upper(second.cell, second.weights.read(second.cell), false), states(4, std::vector<float>(streams * H)) {
    StreamParts parts;
    parts.streams = streams;
    parts.layers = {StreamedLstm<float>{&lower, states[0].data(), states[1].data()},
                    StreamedLstm<float>{&upper, states[2].data(), states[3].data()}};
    parts.mean = mean.data();
    parts.scale = scale.data();
    parts.head = &head;
    parts.carried = carried.data();
    parts.probabilities = true;
    stream.reset(new Stream(parts));
  }

  static LstmCell cell(std::int64_t inputs) {
    LstmCell cell;
    cell.inputs = inputs, cell.units = H;
    return cell;
  }

  Problem<float> first, second;
  std::vector<float> query, weights, biases;
  std::vector<double> mean, scale;
  Head head;
  std::vector<double> carried;
  Lstm<float> lower, upper;
  std::vector<std::vector<float>> states;
  std::unique_ptr<Stream> stream;
};

void take_steps(Stream& stream, const std::vector<float>& x, std::vector<float>& answers) {
  for (int t = 0; t < 100; ++t) stream.advance<float>({x.data(), Network::C, Network::C}, 1, answers.data());
}

void test_steps(std::int64_t streams) {
  Network network(streams);
  const std::vector<float> x(static_cast<std::size_t>(streams * Network::C), 0.7f);
  std::vector<float> answers(static_cast<std::size_t>(streams * Network::K));
  std::mutex mutex;
  { const std::lock_guard<std::mutex> taken(mutex); }
  expect(locks > 0 || !kCounted, "locks are counted");
  const long before = allocations, locks_before = locks;
  take_steps(*network.stream, x, answers);
  const long taken = allocations - before;
  expect(before > 0 || !kCounted, "allocations are counted");
  expect(taken == 0, "a step allocates nothing");
  expect(locks == locks_before, "a step takes no lock");
  expect(answers[0] > 0 && answers[0] < 1, "the answers are probabilities");

#if defined(__linux__) && !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
  const pid_t child = fork();
  if (child == 0) {
    if (prctl(PR_SET_SECCOMP, SECCOMP_MODE_STRICT) != 0) _exit(3);
    take_steps(*network.stream, x, answers);
    syscall(SYS_exit, 0);
  }
  int status = 0;
  waitpid(child, &status, 0);
  if (WIFEXITED(status) && WEXITSTATUS(status) == 3) {
    std::fprintf(stderr, "skipped: this system does not forbid a process its system calls\n");
  } else {
    expect(WIFEXITED(status) && WEXITSTATUS(status) == 0, "a step calls no system");
  }
#endif
}

// What is not finite is found and nothing is taken.
void test_refusal() {
  Network network(2);
  std::vector<float> x(2 * 3 * Network::C, 0.5f), answers(2 * 3 * Network::K, -1.0f);
  x[1 * 3 * Network::C + 2 * Network::C + 4] = std::numeric_limits<float>::quiet_NaN();
  const Place bad = network.stream->advance<float>({x.data(), 3 * Network::C, Network::C}, 3, answers.data());
  expect(bad.stream == 1 && bad.step == 2 && bad.channel == 4, "the place of a NaN");
  expect(answers[0] == -1.0f && network.states[1][0] == 0, "nothing is taken of a chunk with a NaN");
}

}  // namespace

int main() {
  for (const std::int64_t streams : {1, 2, 33}) test_steps(streams);
  test_refusal();
  return failures ? 1 : 0;
}
