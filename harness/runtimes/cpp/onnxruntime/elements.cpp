#include "onnxruntime/elements.hpp"

#include <string>

#include "errors.hpp"

namespace deepmatrix {
namespace {

// By their numbers; those without a name are not among ours.
const char* const kNames[] = {"",        "float32", "uint8",  "int8",  "uint16",
                              "int16",   "int32",   "int64",  "",      "bool",
                              "float16", "float64", "uint32", "uint64"};

}  // namespace

int onnx_number(const DType& dtype) {
    int number = 0;
    for (const char* name : kNames) {
        if (name == std::string(dtype.name)) return number;
        ++number;
    }
    throw Unsupported(std::string("ONNX has no arrays of the type ") + dtype.name);
}

const DType& dtype_by_onnx(int number) {
    const bool known = number >= 0 && number < static_cast<int>(std::size(kNames));
    const DType* dtype = known ? dtype_by_name(kNames[number]) : nullptr;
    if (!dtype) {
        throw Unsupported("the runner has no arrays of ONNX's type " + std::to_string(number) +
                          (number == 8 ? " (string)" : ""));
    }
    return *dtype;
}

}  // namespace deepmatrix
