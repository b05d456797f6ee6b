// The deadline: ends the process wherever it is, and the log then says where that was.
#pragma once

namespace deepmatrix {

// Exit with 1 once *deadline_s* seconds have passed.
void start_watchdog(double deadline_s);

// Say what is being done from now on, a text that lives as long as the process; also in the log.
void log_stage(const char* stage);

}  // namespace deepmatrix
