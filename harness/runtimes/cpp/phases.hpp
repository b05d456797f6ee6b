// The phases: what is done with an artifact in a cell.
#pragma once

#include <nlohmann/json_fwd.hpp>

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "control.hpp"
#include "runtime.hpp"

namespace deepmatrix {

// One job under way: its data, and the model once there is one.
class Session {
  public:
    Session(const Job& job, const Runtime& runtime) : job_(job), runtime_(runtime) {}

    // Run one phase, which puts what it finds into *data*: what was measured before a failure is
    // kept. Throws Unsupported for a phase that is not known here.
    void run(const std::string& phase, nlohmann::json& data);

  private:
    void startup(nlohmann::json& data);
    void infer(nlohmann::json& data);

    Model& model();                      // loaded by the first call
    const std::vector<Array>& inputs();  // read by the first call
    std::vector<Array> answer_all();     // by splits
    // What the model answered right after it was loaded: it may keep state between calls.
    const std::vector<Array>& first_answers();

    const Job& job_;
    const Runtime& runtime_;
    std::unique_ptr<Model> model_;
    double load_s_ = 0;
    std::optional<std::vector<Array>> inputs_;
    std::optional<std::vector<Array>> first_;
};

}  // namespace deepmatrix
