// Types of elements as ONNX numbers them: TensorProto.DataType, and ONNXTensorElementDataType.
#pragma once

#include "dtype.hpp"

namespace deepmatrix {

// Return the number of a type.
int onnx_number(const DType& dtype);

// Return the type of a number. Throws Unsupported.
const DType& dtype_by_onnx(int number);

}  // namespace deepmatrix
