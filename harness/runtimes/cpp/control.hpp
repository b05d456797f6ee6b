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
    std::int64_t generations = 1;
};

// What a model keeps of the tokens before: an input, and the output that is the next step's.
struct Cached {
    std::string input;
    std::string output;
    std::vector<std::int64_t> shape;  // before the first token
};

// What a model generates, and by which inputs and outputs.
struct Generation {
    std::vector<std::int64_t> prompt;
    std::int64_t steps = 0;
    std::string tokens;
    std::string logits;
    std::vector<Cached> cache;
};

// A job of a consumer. Paths are below the control directory, and already joined to it.
struct Job {
    std::string directory;
    std::string id;
    std::string architecture;
    std::string device;
    bool emulated = false;
    bool timed = true;  // else its times do not count: no canary is measured
    std::vector<std::string> phases;
    double deadline_s = 0;
    int threads = 0;
    std::vector<std::string> selftest;
    Sampling infer;
    std::string format;
    std::string model;
    std::vector<Input> inputs;
    std::optional<std::vector<std::int64_t>> splits;
    std::optional<Generation> generation;
};

// Return the job in `input.json`. Throws BadInput, which says what to do.
Job read_job(const std::string& directory);

// Write `output.json` so that a reader sees all of it or nothing. Throws NoRoom and BadInput.
void write_output(const std::string& directory, const nlohmann::json& output);

}  // namespace deepmatrix
