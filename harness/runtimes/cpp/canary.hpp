// The canary: how fast this machine is at this moment, apart from any model.
//
// A job takes it before and after its phases: where it is slower than in other rounds, the machine
// was disturbed.
#pragma once

#include "runtime.hpp"

namespace deepmatrix {

// Rates, median and best: FLOP/s of a float32 product, bytes/s read and written.
struct Canary {
    double matmul_flops;
    double matmul_flops_best;
    double copy_bytes_s;
};

// Measure for about a tenth of a second.
Canary measure_canary(const Runtime& runtime);

}  // namespace deepmatrix
