#include "machine.hpp"

#include <windows.h>

// After windows.h, which they need.
#include <psapi.h>
#include <tlhelp32.h>

#include <nlohmann/json.hpp>

namespace deepmatrix {
namespace {

// Windows counts in hundreds of nanoseconds.
double seconds(const FILETIME& time) {
    const ULARGE_INTEGER ticks = {{time.dwLowDateTime, time.dwHighDateTime}};
    return 1e-7 * static_cast<double>(ticks.QuadPart);
}

struct Times {
    FILETIME created, exited, kernel, user;
};

Times times() {
    Times result{};
    GetProcessTimes(GetCurrentProcess(), &result.created, &result.exited, &result.kernel,
                    &result.user);
    return result;
}

nlohmann::json processor() {
    char name[256];
    DWORD size = sizeof name;
    const char* const key = "HARDWARE\\DESCRIPTION\\System\\CentralProcessor\\0";
    const LSTATUS status = RegGetValueA(HKEY_LOCAL_MACHINE, key, "ProcessorNameString",
                                        RRF_RT_REG_SZ, nullptr, name, &size);
    return status == ERROR_SUCCESS ? nlohmann::json(name) : nlohmann::json(nullptr);
}

// Who stands behind the system's functions: Wine says so, Windows does not.
nlohmann::json system_library() {
    using Version = const char*(__cdecl*)();
    const HMODULE library = GetModuleHandleA("ntdll.dll");
    const FARPROC symbol = library ? GetProcAddress(library, "wine_get_version") : nullptr;
    if (!symbol) return "Windows";
    const auto version = reinterpret_cast<Version>(reinterpret_cast<void*>(symbol));
    return std::string("wine ") + version();
}

nlohmann::json allowed_cpus() {
    DWORD_PTR own = 0, all = 0;
    if (!GetProcessAffinityMask(GetCurrentProcess(), &own, &all)) return nullptr;
    return __builtin_popcountll(own);
}

}  // namespace

std::optional<double> process_age_s() {
    FILETIME now{};
    GetSystemTimeAsFileTime(&now);
    const double age = seconds(now) - seconds(times().created);
    if (age < 0 || age >= 3600) return std::nullopt;
    return age;
}

double busy_s() {
    const Times process = times();
    return seconds(process.kernel) + seconds(process.user);
}

int process_threads() {
    const HANDLE all = CreateToolhelp32Snapshot(TH32CS_SNAPTHREAD, 0);
    if (all == INVALID_HANDLE_VALUE) return 0;
    int count = 0;
    THREADENTRY32 thread{};
    thread.dwSize = sizeof thread;
    for (BOOL more = Thread32First(all, &thread); more; more = Thread32Next(all, &thread)) {
        count += thread.th32OwnerProcessID == GetCurrentProcessId();
    }
    CloseHandle(all);
    return count;
}

nlohmann::json describe_machine() {
    return {{"machine", "x86_64"},
            {"processor", processor()},
            {"cpus", allowed_cpus()},
            {"libc", system_library()}};
}

PeakMemory peak_memory() { return {peak_resident(), "process"}; }

std::int64_t peak_resident() {
    PROCESS_MEMORY_COUNTERS counters{};
    GetProcessMemoryInfo(GetCurrentProcess(), &counters, sizeof counters);
    return static_cast<std::int64_t>(counters.PeakWorkingSetSize);
}

}  // namespace deepmatrix
