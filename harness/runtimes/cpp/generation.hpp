// Greedy generation by a model with a cache: the whole prompt first, then token by token.
#pragma once

#include <nlohmann/json_fwd.hpp>

#include "control.hpp"
#include "runtime.hpp"

namespace deepmatrix {

// Generate as often as the job says; return the entry for the record. *model* was loaded with the
// names of the job's inputs.
nlohmann::json generate(Model& model, const Job& job);

}  // namespace deepmatrix
