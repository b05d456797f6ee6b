// What the process really runs on, read back from the machine itself.
#pragma once

#include <nlohmann/json_fwd.hpp>

#include <cstdint>
#include <optional>
#include <string>

namespace deepmatrix {

// Return the seconds since this process started, if the system says.
std::optional<double> process_age_s();

// Return the seconds that the processors have spent on this process.
double busy_s();

// Return how many threads this process has now, sleeping ones included; 0 if nobody says.
int process_threads();

// Say whether *name*, as it is in a job's cell, is the architecture this was compiled for.
bool is_own_architecture(const std::string& name);

// Return the `machine`, `processor`, `cpus` and `libc` of the answer's `environment`.
nlohmann::json describe_machine();

struct PeakMemory {
    std::int64_t bytes;
    std::string source;  // "cgroup2", "cgroup1" or "process"
};

// Return the most memory held so far. A control group counts all processes at once, but is ours
// only in a container, where process 1 is the runner or the init that started it.
PeakMemory peak_memory();

// Return the most bytes this process alone had in memory, mapped files included.
std::int64_t peak_resident();

}  // namespace deepmatrix
