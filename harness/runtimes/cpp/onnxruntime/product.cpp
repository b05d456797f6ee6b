#include "onnxruntime/product.hpp"

#include "onnxruntime/elements.hpp"
#include "protobuf.hpp"

namespace deepmatrix {
using protobuf::message;
using protobuf::number;

// Written by hand as protocol buffers, so that nothing of ONNX is needed to build the runner. The
// numbers are the fields of onnx.proto.
std::string product_model(const DType& dtype) {
    std::string graph = message(
        1, message(1, "left") + message(1, "right") + message(2, "product") + message(4, "MatMul"));
    graph += message(2, "product");
    const struct {
        int field;
        std::string name;
    } values[] = {{11, "left"}, {11, "right"}, {12, "product"}};
    for (const auto& [field, name] : values) {
        const std::string shape =
            message(1, message(2, name + "0")) + message(1, message(2, name + "1"));
        const std::string tensor = message(1, number(1, onnx_number(dtype)) + message(2, shape));
        graph += message(field, message(1, name) + message(2, tensor));
    }
    return number(1, 8) + message(7, graph) + message(8, number(2, 13));  // IR 8, opset 13
}

}  // namespace deepmatrix
