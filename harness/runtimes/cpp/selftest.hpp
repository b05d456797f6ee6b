// Does this cell compute at all? A matrix product in each dtype against an exact answer.
//
// Emulators have returned garbage from vectorised products without any error, so no result
// counts before the runtime has proved its arithmetic.
#pragma once

#include <string>
#include <vector>

#include "runtime.hpp"

namespace deepmatrix {

struct SelfTest {
    std::string dtype;
    bool passed;
    double error;  // largest absolute difference; the largest double where it is not finite
};

// Test the runtime in each of these dtypes that it has a product in.
std::vector<SelfTest> run_selftest(const Runtime& runtime, const std::vector<std::string>& dtypes);

}  // namespace deepmatrix
