// An ONNX model of one node, `product = MatMul(left, right)`: what proves the arithmetic.
#pragma once

#include <string>

#include "dtype.hpp"

namespace deepmatrix {

// Return the bytes of the model, for matrices of this type and any size.
std::string product_model(const DType& dtype);

}  // namespace deepmatrix
