// Why the runtime refuses an ONNX model: its IR version, its opset, or operators it does not know.
//
// As `harness/graphs/onnx_refusals.py`, which says how, does it in Python.
#pragma once

#include <functional>
#include <string>
#include <string_view>

namespace deepmatrix {

// Asks the runtime to load a model of these bytes; returns what it says, or nothing where it does.
using Ask = std::function<std::string(const std::string&)>;

// Return in one line why a model is refused, or nothing where that is not known.
std::string explain_refusal(std::string_view model, const Ask& ask);

}  // namespace deepmatrix
