#include "job.hpp"

#include <map>
#include <memory>
#include <nlohmann/json.hpp>

#include "canary.hpp"
#include "errors.hpp"
#include "failures.hpp"
#include "machine.hpp"
#include "phases.hpp"
#include "runtime.hpp"
#include "selftest.hpp"
#include "timing.hpp"
#include "watchdog.hpp"

// 16 hex digits of these sources; the build says which.
#ifndef DEEPMATRIX_HARNESS
#define DEEPMATRIX_HARNESS "unknown"
#endif

namespace deepmatrix {
namespace {

using Json = nlohmann::json;

// A failure of these types is true of the whole job: it is recorded in every phase, and none runs.
constexpr const char* kEverywhere[] = {"SelfTestFailed", "WrongDevice", "WrongPlatform",
                                       "WrongThreads"};

const Failure kNotReached = {"failed", "NotReached", "startup did not succeed, and this needs it"};

Json record(const std::string& phase, const std::optional<Failure>& failure) {
    return {{"phase", phase},
            {"status", failure ? failure->status : "ok"},
            {"error", failure ? failure->error() : Json(nullptr)},
            {"started_s", 0.0},
            {"seconds", 0.0},
            {"data", Json::object()}};
}

// Return the records of a job whose phases cannot run: failures other than job-wide ones are the
// first phase's, and the other phases were not reached.
Json none_run(const Job& job, const Failure& failure) {
    Failure others = kNotReached;
    for (const char* type : kEverywhere) {
        if (failure.type == type) others = failure;
    }
    Json records = Json::array();
    for (const std::string& phase : job.phases) {
        records.push_back(record(phase, records.empty() ? failure : others));
    }
    return records;
}

// Run one phase; say so in the log, which tells where a dead process was.
Json run_phase(Session& session, const std::string& phase, double began) {
    log_stage(phase.c_str());
    Json data = Json::object();
    std::optional<Failure> failure;
    const double start = now_s();
    try {
        session.run(phase, data);
    } catch (...) {
        failure = current_failure();
    }
    Json result = record(phase, failure);
    result["started_s"] = start - began;
    result["seconds"] = now_s() - start;
    result["data"] = std::move(data);
    return result;
}

Json run_phases(const Job& job, Session& session, const Json& started, double began) {
    Json records = Json::array();
    bool starts = true;
    for (const std::string& phase : job.phases) {
        Json result = starts ? run_phase(session, phase, began) : record(phase, kNotReached);
        if (phase == "startup") {
            starts = result["status"] == "ok";
            result["data"].update(started);
        }
        records.push_back(std::move(result));
    }
    return records;
}

Json to_json(const std::vector<SelfTest>& tests) {
    Json result = Json::array();
    for (const SelfTest& test : tests) {
        result.push_back({{"dtype", test.dtype},
                          {"by", "framework"},
                          {"passed", test.passed},
                          {"error", test.error}});
    }
    return result;
}

Json to_json(const Canary& canary) {
    return {{"matmul_flops", canary.matmul_flops},
            {"matmul_flops_best", canary.matmul_flops_best},
            {"copy_bytes_s", canary.copy_bytes_s}};
}

// Add the rates of the machine at this moment to *output*, where times count.
void add_canary(const Job& job, const Runtime& runtime, Json& output) {
    if (!job.timed) return;
    log_stage("canary");
    output["canaries"].push_back(to_json(measure_canary(runtime)));
}

// Raise unless platform, device, threads and arithmetic are as they must be.
void prove(const Job& job, int threads, const std::vector<SelfTest>& tests) {
    if (!is_own_architecture(job.architecture)) {
        throw Error("WrongPlatform",
                    "asked for architecture " + job.architecture + ", this runner is of another");
    }
    if (job.device != "cpu") {
        throw Error("WrongDevice", "asked for " + job.device + ", the runtime is on cpu");
    }
    if (threads > job.threads) {
        throw Error("WrongThreads", "asked for " + std::to_string(job.threads) +
                                        " threads, the runtime uses " + std::to_string(threads));
    }
    std::string wrong;
    for (const SelfTest& test : tests) {
        if (test.passed) continue;
        wrong += (wrong.empty() ? "" : ", ") + test.dtype + " by " + Json(test.error).dump();
    }
    if (!wrong.empty()) {
        throw Error("SelfTestFailed",
                    "a matrix product is wrong: " + wrong + "; nothing here can count");
    }
}

// *runtime* is null where it never started, and *threads* null where never queried.
Json environment(const Job& job, const Runtime* runtime, std::optional<int> threads) {
    Json result = describe_machine();
    result["emulated"] = job.emulated;
    result["threads"] = {{"requested", job.threads},
                         {"framework", threads ? Json(*threads) : Json(nullptr)},
                         {"process", process_threads()}};
    result["versions"] = runtime ? Json{{runtime->name(), runtime->version()}} : Json::object();
    result["device"] = {{"requested", job.device},
                        {"actual", runtime ? Json("cpu") : Json(nullptr)},
                        {"name", nullptr}};
    result["blas"] = runtime ? Json(runtime->blas()) : Json(nullptr);
    return result;
}

}  // namespace

Json Process::start(const Job& job) {
    if (runtime_) return {{"interpreter_s", nullptr}, {"import_s", 0.0}};
    std::unique_ptr<Runtime> runtime;
    const double import_s = timed([&] { runtime = start_runtime(job.threads); });
    log_stage("self-test");
    tests_ = run_selftest(*runtime, job.selftest);
    runtime_ = std::move(runtime);
    return {{"interpreter_s", interpreter_s_ ? Json(*interpreter_s_) : Json(nullptr)},
            {"import_s", import_s}};
}

Json Process::run(const Job& job) {
    const double began = now_s();
    place_ += 1;
    Json output = {{"schema", kSchema},
                   {"job", job.id},
                   {"harness", DEEPMATRIX_HARNESS},
                   {"place", place_},
                   {"start_failed", true},
                   {"selftest", Json::array()},
                   {"records", Json::array()},
                   {"artifacts", Json::array()},
                   {"canaries", Json::array()}};
    std::optional<int> threads;
    try {
        const Json started = start(job);
        output["selftest"] = to_json(tests_);
        threads = runtime_->threads();
        prove(job, *threads, tests_);
        output["start_failed"] = false;
        add_canary(job, *runtime_, output);
        Session session(job, *runtime_);
        output["records"] = run_phases(job, session, started, began);
        add_canary(job, *runtime_, output);
    } catch (...) {
        // What the phases found stands, even if there was no second canary.
        if (output["records"].empty()) output["records"] = none_run(job, current_failure());
    }
    output["environment"] = environment(job, runtime_.get(), threads);
    const PeakMemory peak = peak_memory();
    output["peak_memory_bytes"] = peak.bytes;
    output["memory_source"] = place_ == 1 ? peak.source : "session";  // may be of a job before
    output["peak_resident_bytes"] = peak_resident();
    return output;
}

}  // namespace deepmatrix
