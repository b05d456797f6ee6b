// One job from start to answer. Whatever goes wrong in a phase becomes data.
#pragma once

#include <nlohmann/json_fwd.hpp>

#include <optional>

#include "control.hpp"

namespace deepmatrix {

// Do what *job* asks and return the `output.json` for it.
nlohmann::json run_job(const Job& job, std::optional<double> interpreter_s);

}  // namespace deepmatrix
