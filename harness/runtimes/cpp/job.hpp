// A process from its start to the answers of its jobs. Whatever goes wrong in a phase becomes data.
#pragma once

#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <vector>

#include "control.hpp"
#include "runtime.hpp"
#include "selftest.hpp"

namespace deepmatrix {

// The runtime is loaded and proven once, with the first job.
class Process {
  public:
    explicit Process(std::optional<double> interpreter_s) : interpreter_s_(interpreter_s) {}

    // Do what *job* asks and return the `output.json` for it.
    nlohmann::json run(const Job& job);

  private:
    // Load the runtime where that is not done; return what it took, for the startup's record.
    nlohmann::json start(const Job& job);

    const std::optional<double> interpreter_s_;
    std::unique_ptr<Runtime> runtime_;
    std::vector<SelfTest> tests_;
    int place_ = 0;  // of the job in this process, from 1
};

}  // namespace deepmatrix
