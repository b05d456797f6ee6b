#include "queue.hpp"

#include <chrono>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <thread>
#include <utility>

#include "errors.hpp"
#include "timing.hpp"
#include "watchdog.hpp"

namespace deepmatrix {
namespace {

using Json = nlohmann::json;

constexpr auto kLook = std::chrono::milliseconds(5);  // how often to look for the next job

bool exists(const std::string& path) {
    std::error_code code;
    return std::filesystem::exists(path, code);
}

}  // namespace

Queue::Queue(std::string directory) : directory_(std::move(directory)) {
    const std::string path = directory_ + "/session.json";
    if (!exists(path)) return;
    try {
        std::ifstream file(path);
        const Json session = Json::parse(file);
        nonce_ = session.at("nonce");
        wait_s_ = session.at("wait_s");
    } catch (const Json::exception& error) {
        throw BadInput("cannot use " + path + ": " + error.what());
    }
}

std::optional<std::string> Queue::next() {
    number_ += 1;
    if (nonce_.empty()) return number_ == 1 ? std::optional(directory_) : std::nullopt;
    if (number_ == 1) return folder(1);
    const std::string served = folder(number_ - 1);
    if (exists(served + "/last")) return std::nullopt;
    // At this line in the log the host takes the job's files.
    log_text("\n" + nonce_ + "\n");
    await_next();
    std::error_code code;
    std::filesystem::remove_all(served, code);  // what resists is the host's to remove
    return folder(number_);
}

std::string Queue::folder(int number) const {
    char name[16];
    std::snprintf(name, sizeof name, "%04d", number);
    return directory_ + "/jobs/" + name;
}

void Queue::await_next() const {
    const std::string path = folder(number_) + "/ready";
    const double end = now_s() + wait_s_;
    while (!exists(path)) {
        if (now_s() > end) throw BadInput("no " + path + " in time: the host is gone");
        std::this_thread::sleep_for(kLook);
    }
}

}  // namespace deepmatrix
