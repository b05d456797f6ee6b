// The deadline: ends the process wherever it is, and watchdog.txt then says where that was.
#pragma once

#include <string>

namespace deepmatrix {

// Exit with 1 once *deadline_s* seconds have passed, unless it is stopped before. It first writes
// DIRECTORY/watchdog.txt, the host's sign that the deadline has passed.
void start_watchdog(const std::string& directory, double deadline_s);

void stop_watchdog();

// Say what is being done from now on, a text that lives as long as the process; also in the log.
void log_stage(const char* stage);

// Write a text to the log as it is.
void log_text(const std::string& text);

}  // namespace deepmatrix
