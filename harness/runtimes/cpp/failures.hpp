// Failures as data.
#pragma once

#include <nlohmann/json_fwd.hpp>

#include <string>

namespace deepmatrix {

// A phase's outcome: `status` and `error` of its record.
struct Failure {
    std::string status;  // "failed" or "unsupported"
    std::string type;
    std::string message;

    // Return the `error` of a record.
    nlohmann::json error() const;
};

// Return the failure that the exception being handled stands for. Only within a catch block.
// Throws NoRoom again, which is no failure of the job.
Failure current_failure();

}  // namespace deepmatrix
