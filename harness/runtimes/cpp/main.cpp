// Run one job, or a session of several: `runner DIR`. See harness/PROTOCOL.md.
//
// Exit codes: 0 when every output.json is written, whatever it says; 2 when DIR cannot be used; 75
// when its disk is full; 1 when the deadline passed.

#include <cstdio>
#include <cstdlib>
#include <nlohmann/json.hpp>

#include "control.hpp"
#include "errors.hpp"
#include "job.hpp"
#include "machine.hpp"
#include "queue.hpp"
#include "watchdog.hpp"

namespace {

// The answer is written: nothing is taken apart, which could only crash or hang and would be
// counted as the death of a cell that has done its work.
[[noreturn]] void leave(int code) {
    std::fflush(nullptr);
    std::_Exit(code);
}

}  // namespace

int main(int count, char** arguments) {
    const auto age = deepmatrix::process_age_s();
    if (count != 2) {
        std::fputs("usage: runner DIR\n", stderr);
        leave(2);
    }
    try {
        deepmatrix::Queue queue(arguments[1]);
        deepmatrix::Process process(age);
        while (const auto directory = queue.next()) {
            const auto job = deepmatrix::read_job(*directory);
            deepmatrix::start_watchdog(*directory, job.deadline_s);
            deepmatrix::write_output(*directory, process.run(job));
            deepmatrix::stop_watchdog();
        }
    } catch (const deepmatrix::BadInput& error) {
        std::fprintf(stderr, "runner: %s\n", error.what());
        leave(2);
    } catch (const deepmatrix::NoRoom& error) {
        std::fprintf(stderr, "runner: %s\n", error.what());
        leave(75);
    }
    leave(0);
}
