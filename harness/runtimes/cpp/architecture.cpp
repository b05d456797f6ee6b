#include <algorithm>
#include <iterator>

#include "machine.hpp"

namespace deepmatrix {
namespace {

// Docker's name, and Debian's where it differs.
#if defined(__x86_64__)
const char* const kNames[] = {"amd64"};
#elif defined(__aarch64__)
const char* const kNames[] = {"arm64"};
#elif defined(__arm__)
const char* const kNames[] = {"arm", "armv7", "arm-v7", "armhf"};
#elif defined(__riscv)
const char* const kNames[] = {"riscv64"};
#elif defined(__s390x__)
const char* const kNames[] = {"s390x"};
#elif defined(__powerpc64__)
const char* const kNames[] = {"ppc64le", "ppc64el"};
#else
#error "name this architecture as Docker does"
#endif

}  // namespace

bool is_own_architecture(const std::string& name) {
    return std::find(std::begin(kNames), std::end(kNames), name) != std::end(kNames);
}

}  // namespace deepmatrix
