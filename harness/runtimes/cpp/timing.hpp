// The clocks, in seconds: a steady one, and the one that other processes share.
#pragma once

#include <chrono>

namespace deepmatrix {

inline double now_s() {
    const auto since = std::chrono::steady_clock::now().time_since_epoch();
    return std::chrono::duration<double>(since).count();
}

inline double since_1970_s() {
    const auto since = std::chrono::system_clock::now().time_since_epoch();
    return std::chrono::duration<double>(since).count();
}

// Return the seconds that *action* takes.
template <typename Action>
double timed(Action&& action) {
    const double start = now_s();
    action();
    return now_s() - start;
}

}  // namespace deepmatrix
