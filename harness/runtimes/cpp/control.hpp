// The control directory: read the job, write the answer in one piece.
#pragma once

#include <nlohmann/json_fwd.hpp>

#include <cstdint>
#include <limits>
#include <optional>
#include <string>
#include <vector>

namespace deepmatrix {

// Version of input.json and output.json.
constexpr int kSchema = 1;

struct Input {
    std::string name;
    std::string path;
};

// How `infer` samples.
struct Sampling {
    std::vector<std::int64_t> batches;
    std::int64_t samples = 0;
    double min_s = 0;
    double max_s = std::numeric_limits<double>::infinity();
    std::int64_t warmup = 0;
};

// A job of a consumer. Paths are below the control directory, and already joined to it.
struct Job {
    std::string directory;
    std::string id;
    std::string architecture;
    std::string device;
    bool emulated = false;
    std::vector<std::string> phases;
    double deadline_s = 0;
    int threads = 0;
    std::vector<std::string> selftest;
    Sampling infer;
    std::string format;
    std::string model;
    std::vector<Input> inputs;
    std::optional<std::vector<std::int64_t>> splits;
};

// Return the job in `input.json`. Throws BadInput, which says what to do.
Job read_job(const std::string& directory);

// Write `output.json` so that a reader sees all of it or nothing. Throws BadInput.
void write_output(const std::string& directory, const nlohmann::json& output);

}  // namespace deepmatrix
