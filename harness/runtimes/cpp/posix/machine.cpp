#include "machine.hpp"

#include <sched.h>
#include <sys/resource.h>
#include <sys/utsname.h>
#include <time.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <map>
#include <nlohmann/json.hpp>
#include <sstream>

namespace deepmatrix {
namespace {

double seconds(clockid_t clock) {
    timespec time{};
    clock_gettime(clock, &time);
    return static_cast<double>(time.tv_sec) + 1e-9 * static_cast<double>(time.tv_nsec);
}

std::string read(const std::string& path) {
    std::ifstream file(path);
    std::ostringstream text;
    text << file.rdbuf();
    return text.str();
}

std::optional<std::int64_t> read_number(const std::string& path) {
    std::ifstream file(path);
    std::int64_t value = 0;
    if (!(file >> value) || value < 0) return std::nullopt;
    return value;
}

std::string trimmed(const std::string& text) {
    const std::size_t first = text.find_first_not_of(" \t");
    if (first == std::string::npos) return "";
    return text.substr(first, text.find_last_not_of(" \t") - first + 1);
}

// The processor's own name, or what the kernel says of it; under QEMU often neither.
nlohmann::json processor() {
    std::map<std::string, std::string> facts;
    std::istringstream lines(read("/proc/cpuinfo"));
    for (std::string line; std::getline(lines, line);) {
        const std::size_t colon = line.find(':');
        if (colon == std::string::npos) continue;
        facts.emplace(trimmed(line.substr(0, colon)), trimmed(line.substr(colon + 1)));
    }
    if (facts.count("model name")) return facts["model name"];
    if (facts.count("CPU part")) {
        return "implementer " + facts["CPU implementer"] + " part " + facts["CPU part"];
    }
    return nullptr;
}

nlohmann::json libc() {
    char name[128];
    const std::size_t size = confstr(_CS_GNU_LIBC_VERSION, name, sizeof name);
    return size && size <= sizeof name ? nlohmann::json(name) : nlohmann::json(nullptr);
}

nlohmann::json allowed_cpus() {
    cpu_set_t cpus;
    if (sched_getaffinity(0, sizeof cpus, &cpus) != 0) return nullptr;
    return CPU_COUNT(&cpus);
}

}  // namespace

std::optional<double> process_age_s() {
    const std::string stat = read("/proc/self/stat");
    const std::size_t name_end = stat.rfind(')');  // a name may hold spaces and brackets
    if (name_end == std::string::npos) return std::nullopt;
    std::istringstream fields(stat.substr(name_end + 1));
    std::string skipped;
    for (int field = 3; field < 22; ++field) fields >> skipped;
    double ticks = 0;
    if (!(fields >> ticks)) return std::nullopt;
    const double age = seconds(CLOCK_BOOTTIME) - ticks / static_cast<double>(sysconf(_SC_CLK_TCK));
    if (age < 0 || age >= 3600) return std::nullopt;  // not this machine's clock
    return age;
}

double busy_s() { return seconds(CLOCK_PROCESS_CPUTIME_ID); }

int process_threads() {
    std::error_code code;
    std::filesystem::directory_iterator tasks("/proc/self/task", code);
    return code ? 0 : static_cast<int>(std::distance(begin(tasks), end(tasks)));
}

nlohmann::json describe_machine() {
    utsname system{};
    uname(&system);
    return {{"machine", system.machine},
            {"processor", processor()},
            {"cpus", allowed_cpus()},
            {"libc", libc()}};
}

PeakMemory peak_memory() {
    if (getpid() == 1 || getppid() == 1) {
        if (const auto bytes = read_number("/sys/fs/cgroup/memory.peak")) {
            return {*bytes, "cgroup2"};
        }
        if (const auto bytes = read_number("/sys/fs/cgroup/memory/memory.max_usage_in_bytes")) {
            return {*bytes, "cgroup1"};
        }
    }
    return {peak_resident(), "process"};
}

std::int64_t peak_resident() {
    // Linux is asked for this program's own peak: the one of getrusage outlives exec, and would be
    // that of whoever started this where that is larger.
    std::istringstream lines(read("/proc/self/status"));
    for (std::string line; std::getline(lines, line);) {
        if (line.rfind("VmHWM:", 0) == 0) return std::stoll(line.substr(6)) * 1024;
    }
    rusage usage{};
    getrusage(RUSAGE_SELF, &usage);
    return static_cast<std::int64_t>(usage.ru_maxrss) * 1024;
}

}  // namespace deepmatrix
