#include "watchdog.hpp"

#include <fcntl.h>
#include <io.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <thread>

namespace deepmatrix {
namespace {

std::atomic<const char*> stage_now{"start"};

std::atomic<int> current{0};  // the number of the deadline that holds, and of none once stopped

}  // namespace

// There are no signals: a thread sleeps beside the work.
void start_watchdog(const std::string& directory, double deadline_s) {
    const std::chrono::duration<double> bounded(std::clamp(deadline_s, 1e-3, 1e8));
    std::thread([bounded, own = ++current, report = directory + "/watchdog.txt"] {
        std::this_thread::sleep_for(bounded);
        if (own != current) return;
        std::FILE* const opened = std::fopen(report.c_str(), "wb");
        std::FILE* const file = opened ? opened : stderr;
        std::fprintf(file, "the deadline passed in %s\n", stage_now.load());
        std::fflush(file);
        std::_Exit(1);
    }).detach();
}

void stop_watchdog() { ++current; }

void log_stage(const char* stage) {
    stage_now = stage;
    std::fprintf(stderr, "runner: %s\n", stage);
    std::fflush(stderr);
}

void log_text(const std::string& text) {
    std::fflush(stderr);
    _setmode(_fileno(stderr), _O_BINARY);  // a line ends in a line feed alone
    std::fputs(text.c_str(), stderr);
    std::fflush(stderr);
    _setmode(_fileno(stderr), _O_TEXT);
}

}  // namespace deepmatrix
