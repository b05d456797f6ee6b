#include "control.hpp"

#include <cmath>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>

#include "errors.hpp"
#include "files.hpp"

namespace deepmatrix {
namespace {

using Json = nlohmann::json;

// Return *path* below *directory*; a path that leads elsewhere is refused.
std::string below(const std::string& directory, const std::string& path) {
    const std::filesystem::path relative(path);
    for (const auto& part : relative) {
        if (part == "..") throw BadInput("the path " + path + " leads out of the directory");
    }
    if (path.empty() || relative.is_absolute()) {
        throw BadInput("the path '" + path + "' is not below the directory");
    }
    return directory + "/" + path;
}

template <typename Number>
Number at_least(const Json& object, const char* key, Number least) {
    const auto value = object.at(key).get<Number>();
    if (!(value >= least)) throw BadInput(std::string("'") + key + "' is too small");
    return value;
}

Sampling sampling(const Json& infer) {
    Sampling result;
    result.batches = infer.at("batches").get<std::vector<std::int64_t>>();
    for (std::int64_t size : result.batches) {
        if (size < 1) throw BadInput("a batch has less than one row");
    }
    result.samples = at_least<std::int64_t>(infer, "samples", 0);
    result.warmup = at_least<std::int64_t>(infer, "warmup", 0);
    result.min_s = infer.value("min_s", 0.0);
    const auto max_s = infer.find("max_s");
    if (max_s != infer.end() && !max_s->is_null()) result.max_s = max_s->get<double>();
    result.generations = infer.value("generations", std::int64_t{1});
    return result;
}

Generation generation(const Json& described) {
    Generation result;
    result.prompt = described.at("prompt").get<std::vector<std::int64_t>>();
    result.steps = at_least<std::int64_t>(described, "steps", 1);
    result.tokens = described.at("tokens");
    result.logits = described.at("logits");
    for (const Json& entry : described.at("cache")) {
        result.cache.push_back({entry.at("input"), entry.at("output"),
                                entry.at("shape").get<std::vector<std::int64_t>>()});
    }
    return result;
}

Job parse(const std::string& directory, const Json& input) {
    Job job;
    job.directory = directory;
    job.id = input.at("job");
    const Json& cell = input.at("cell");
    job.architecture = cell.at("architecture");
    job.device = cell.at("device");
    job.emulated = input.value("emulated", false);
    job.timed = input.value("timed", true);
    input.at("phases").get_to(job.phases);
    job.deadline_s = at_least(input, "deadline_s", 0.0);
    job.threads = at_least(input, "threads", 1);
    input.at("selftest").get_to(job.selftest);
    if (input.contains("infer")) job.infer = sampling(input.at("infer"));
    const Json& artifact = input.at("artifact");
    job.format = artifact.at("format");
    job.model = below(directory, artifact.at("model"));
    for (const Json& entry : artifact.at("inputs")) {
        job.inputs.push_back({entry.at("name"), below(directory, entry.at("path"))});
    }
    if (artifact.contains("splits") && !artifact.at("splits").is_null()) {
        job.splits = artifact.at("splits").get<std::vector<std::int64_t>>();
    }
    if (artifact.contains("generation") && !artifact.at("generation").is_null()) {
        job.generation = generation(artifact.at("generation"));
    }
    return job;
}

}  // namespace

Job read_job(const std::string& directory) {
    const std::string path = directory + "/input.json";
    std::ifstream file(path);
    if (!file) {
        throw BadInput("cannot read " + path + "; the host has to write it before the start");
    }
    try {
        const Json input = Json::parse(file);
        const Json schema = input.at("schema");
        if (schema != kSchema) {
            throw BadInput("schema " + schema.dump() + ", and this runner reads " +
                           std::to_string(kSchema) +
                           "; use the runner and the host of one version");
        }
        return parse(directory, input);
    } catch (const Json::exception& error) {
        throw BadInput("cannot use " + path + ": " + error.what());
    } catch (const BadInput& error) {
        throw BadInput("cannot use " + path + ": " + error.what());
    }
}

void write_output(const std::string& directory, const Json& output) {
    // Not a number becomes null; bytes of a message that are not UTF-8 become a question mark.
    const std::string text = output.dump(-1, ' ', false, Json::error_handler_t::replace);
    try {
        write_whole(directory + "/output.json", {text});
    } catch (const Error& error) {
        throw BadInput(std::string(error.what()) +
                       "; the directory must be writable for this process's user");
    }
}

}  // namespace deepmatrix
