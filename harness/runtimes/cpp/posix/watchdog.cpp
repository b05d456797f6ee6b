#include "watchdog.hpp"

#include <fcntl.h>
#include <signal.h>
#include <sys/time.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cmath>
#include <cstring>
#include <string>

namespace deepmatrix {
namespace {

std::atomic<const char*> stage_now{"start"};

std::string report;  // the path of watchdog.txt; changed only while no timer runs

void say(const char* text, int file = STDERR_FILENO) {
    // What cannot be written to the log cannot be told anybody.
    if (write(file, text, std::strlen(text)) < 0) return;
}

// A signal and not a thread: it also ends a process that hangs in the runtime, and the process has
// no more threads than the runtime was given. Only what may be called in a handler is.
void end(int) {
    const int opened = open(report.c_str(), O_WRONLY | O_CREAT | O_TRUNC, 0644);
    const int file = opened < 0 ? STDERR_FILENO : opened;
    say("the deadline passed in ", file);
    say(stage_now.load(), file);
    say("\n", file);
    _exit(1);
}

}  // namespace

void start_watchdog(const std::string& directory, double deadline_s) {
    report = directory + "/watchdog.txt";
    struct sigaction action{};
    action.sa_handler = end;
    sigaction(SIGALRM, &action, nullptr);
    // An interval of zero would be none at all, and one of centuries is refused by some systems.
    const double bounded = std::clamp(deadline_s, 1e-3, 1e8);
    itimerval timer{};
    timer.it_value.tv_sec = static_cast<time_t>(bounded);
    timer.it_value.tv_usec = static_cast<suseconds_t>((bounded - std::floor(bounded)) * 1e6);
    setitimer(ITIMER_REAL, &timer, nullptr);
}

void stop_watchdog() {
    const itimerval none{};
    setitimer(ITIMER_REAL, &none, nullptr);
}

void log_stage(const char* stage) {
    stage_now = stage;
    say("runner: ");
    say(stage);
    say("\n");
}

void log_text(const std::string& text) { say(text.c_str()); }

}  // namespace deepmatrix
