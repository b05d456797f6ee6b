// ONNX Runtime's own header, the same wherever it is included.
#pragma once

// The library is loaded by `start_runtime` and not by the system before main: then the time that it
// takes is known, and its failure is data.
#define ORT_API_MANUAL_INIT
#include <onnxruntime_cxx_api.h>
