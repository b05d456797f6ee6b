// What a model takes, from named arrays: sequences and maps as `harness/graphs/values.py` names
// their parts.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "array.hpp"
#include "onnxruntime/api.hpp"

namespace deepmatrix {

// An input of a model, and which of the given arrays it is made of.
class Input {
  public:
    // A tensor, of elements of this type.
    Input(std::string name, ONNXTensorElementDataType type, std::size_t place);

    // A sequence, from its elements, or a map, from its keys and values; empty where there is none.
    Input(std::string name, const std::vector<std::string>& given);

    const std::string& name() const { return name_; }
    bool is_given() const { return !places_.empty(); }

    // Return the value. Numbers stay where they are, so *arrays* have to live as long.
    Ort::Value value(const std::vector<View>& arrays) const;

  private:
    enum class Kind : std::uint8_t { tensor, sequence, map };

    std::string name_;
    Kind kind_ = Kind::tensor;
    ONNXTensorElementDataType type_ = ONNX_TENSOR_ELEMENT_DATA_TYPE_UNDEFINED;
    std::vector<std::size_t> places_;
};

// Return the inputs of a session that arrays of these names are for. Throws Error.
std::vector<Input> inputs_of(const Ort::Session& session, const std::vector<std::string>& given);

}  // namespace deepmatrix
