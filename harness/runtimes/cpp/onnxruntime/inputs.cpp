#include "onnxruntime/inputs.hpp"

#include <algorithm>
#include <utility>

#include "onnxruntime/answers.hpp"
#include "onnxruntime/elements.hpp"
#include "runtime.hpp"

namespace deepmatrix {
namespace {

// Add the place of an array of this name, if there is one; return whether there is.
bool add_place(const std::string& name, const std::vector<std::string>& given,
               std::vector<std::size_t>& places) {
    const auto place = std::find(given.begin(), given.end(), name);
    if (place == given.end()) return false;
    places.push_back(static_cast<std::size_t>(place - given.begin()));
    return true;
}

// Return the type of a tensor's elements; it is undefined where the input is none. Throws
// Unsupported for a type of which the runner has no arrays.
ONNXTensorElementDataType element_type(const Ort::TypeInfo& info) {
    if (info.GetONNXType() != ONNX_TYPE_TENSOR) return ONNX_TENSOR_ELEMENT_DATA_TYPE_UNDEFINED;
    const auto type = info.GetTensorTypeAndShapeInfo().GetElementType();
    const bool is_converted = type == ONNX_TENSOR_ELEMENT_DATA_TYPE_STRING ||
                              type == ONNX_TENSOR_ELEMENT_DATA_TYPE_BFLOAT16;
    if (!is_converted) dtype_by_onnx(type);
    return type;
}

}  // namespace

Input::Input(std::string name, ONNXTensorElementDataType type, std::size_t place)
    : name_(std::move(name)), type_(type), places_{place} {}

Input::Input(std::string name, const std::vector<std::string>& given) : name_(std::move(name)) {
    if (add_place(name_ + ".keys", given, places_) &&
        add_place(name_ + ".values", given, places_)) {
        kind_ = Kind::map;
        return;
    }
    kind_ = Kind::sequence;
    places_.clear();
    while (add_place(name_ + "." + std::to_string(places_.size()), given, places_)) {
    }
}

Ort::Value Input::value(const std::vector<View>& arrays) const {
    std::vector<Ort::Value> parts;
    for (const std::size_t place : places_) parts.push_back(input_value(arrays[place], type_));
    if (kind_ == Kind::map) return Ort::Value::CreateMap(parts[0], parts[1]);
    if (kind_ == Kind::sequence) return Ort::Value::CreateSequence(parts);
    return std::move(parts[0]);
}

std::vector<Input> inputs_of(const Ort::Session& session, const std::vector<std::string>& given) {
    const Ort::AllocatorWithDefaultOptions allocator;
    std::vector<std::string> own;
    std::vector<Input> inputs;
    bool in_parts = false;
    for (std::size_t i = 0; i < session.GetInputCount(); ++i) {
        own.emplace_back(session.GetInputNameAllocated(i, allocator).get());
        std::vector<std::size_t> place;
        if (add_place(own[i], given, place)) {
            inputs.emplace_back(own[i], element_type(session.GetInputTypeInfo(i)), place[0]);
            continue;
        }
        Input input(own[i], given);
        in_parts = in_parts || input.is_given();
        if (input.is_given()) inputs.push_back(std::move(input));
    }
    if (in_parts) return inputs;
    inputs.clear();
    const std::vector<std::size_t> places = matched(given, own);
    for (std::size_t i = 0; i < places.size(); ++i) {
        inputs.emplace_back(own[places[i]], element_type(session.GetInputTypeInfo(places[i])), i);
    }
    return inputs;
}

}  // namespace deepmatrix
