#include "python_call.h"

#include <string>
#include <vector>

namespace quadgate::binding {
namespace {

std::vector<const Call*> taken_calls(const nb::list& list) {
  std::vector<const Call*> calls;
  for (const nb::handle one : list) {
    const Call* call = nullptr;
    if (!nb::try_cast(one, call, false) || !call) {
      throw Refused(std::string("calls: found ") + nb::str(one.type().attr("__name__")).c_str() +
                    ", expected what forward_call and backward_call return");
    }
    calls.push_back(call);
  }
  return calls;
}

void expect_apart(const std::vector<const Call*>& calls, bool behind) {
  for (std::size_t k = 0; k < calls.size(); ++k) {
    for (std::size_t other = 0; other < k; ++other) {
      if (calls[k] == calls[other]) throw Refused("calls: found the same call twice");
      calls[other]->arguments.expect_apart_from(calls[k]->arguments, behind);
    }
  }
}

std::vector<const Work*> works_of(const std::vector<const Call*>& calls) {
  std::vector<const Work*> works;
  for (const Call* call : calls) works.push_back(&call->work);
  return works;
}

void beside(const nb::list& list, int threads) {
  const std::vector<const Call*> calls = taken_calls(list);
  expect_apart(calls, false);
  const std::vector<const Work*> works = works_of(calls);
  const nb::gil_scoped_release released;
  run_beside(works, threads);
}

void behind(const nb::list& list, int threads) {
  const std::vector<const Call*> calls = taken_calls(list);
  expect_apart(calls, true);
  const std::vector<const Work*> works = works_of(calls);
  for (const Work* work : works) {
    if (work->tasks != works[0]->tasks || work->finish) {
      throw Refused("calls: found some in other steps than the first, expected forward_call with the same at_a_time");
    }
  }
  const nb::gil_scoped_release released;
  run_behind(works, threads);
}

}  // namespace

void register_call(nb::module_& module) {
  nb::class_<Call>(module, "Call", "A call that was checked and is yet to run.");
  module.def("run_beside", &beside, nb::arg("calls"), nb::arg("threads"),
             "Runs calls that know nothing of each other, sharing the threads.");
  module.def("run_behind", &behind, nb::arg("calls"), nb::arg("threads"),
             "Runs calls made with at_a_time, of which each reads what the one before it writes.");
}

}  // namespace quadgate::binding
