#include "onnxruntime/answers.hpp"

#include <algorithm>
#include <cstdint>
#include <cstring>

#include "errors.hpp"
#include "onnxruntime/elements.hpp"
#include "text.hpp"

namespace deepmatrix {
namespace {

const Ort::MemoryInfo& memory() {
    static const auto info = Ort::MemoryInfo::CreateCpu(OrtDeviceAllocator, OrtMemTypeCPU);
    return info;
}

Ort::Value part_of(const Ort::Value& value, std::size_t number) {
    const Ort::AllocatorWithDefaultOptions allocator;
    return value.GetValue(static_cast<int>(number), allocator);
}

ONNXType type_of(const Ort::Value& value) { return value.GetTypeInfo().GetONNXType(); }

Array text_of(const Ort::Value& value) {
    Shape shape = value.GetTensorTypeAndShapeInfo().GetShape();
    const std::size_t count = elements(shape);
    std::string content(value.GetStringTensorDataLength(), '\0');
    std::vector<std::size_t> offsets(count);
    value.GetStringTensorContent(content.data(), content.size(), offsets.data(), count);
    offsets.push_back(content.size());
    std::vector<std::string> texts;
    for (std::size_t i = 0; i < count; ++i) {
        texts.push_back(content.substr(offsets[i], offsets[i + 1] - offsets[i]));
    }
    return text_array(texts, std::move(shape));
}

bool is_text(const Ort::Value& tensor) {
    return tensor.GetTensorTypeAndShapeInfo().GetElementType() ==
           ONNX_TENSOR_ELEMENT_DATA_TYPE_STRING;
}

bool is_bfloat16(const Ort::Value& tensor) {
    return tensor.GetTensorTypeAndShapeInfo().GetElementType() ==
           ONNX_TENSOR_ELEMENT_DATA_TYPE_BFLOAT16;
}

// Return bfloat16 as float32, of which it is the upper half.
Array widened(const Ort::Value& tensor) {
    Shape shape = tensor.GetTensorTypeAndShapeInfo().GetShape();
    const std::size_t count = elements(shape);
    const auto* halves = static_cast<const std::uint16_t*>(tensor.GetTensorRawData());
    std::vector<std::byte> bytes(count * sizeof(std::uint32_t));
    for (std::size_t i = 0; i < count; ++i) {
        const std::uint32_t bits = static_cast<std::uint32_t>(halves[i]) << 16;
        std::memcpy(&bytes[i * sizeof bits], &bits, sizeof bits);
    }
    return {dtype_by_name("float32"), std::move(shape), std::move(bytes)};
}

// Return float32 whose values are all of bfloat16 as such.
Ort::Value narrowed(const View& input) {
    const Ort::AllocatorWithDefaultOptions allocator;
    auto value = Ort::Value::CreateTensor(allocator, input.shape.data(), input.shape.size(),
                                          ONNX_TENSOR_ELEMENT_DATA_TYPE_BFLOAT16);
    auto* halves = static_cast<std::uint16_t*>(value.GetTensorMutableRawData());
    for (std::size_t i = 0; i < elements(input.shape); ++i) {
        std::uint32_t bits;
        std::memcpy(&bits, input.data + i * sizeof bits, sizeof bits);
        halves[i] = static_cast<std::uint16_t>(bits >> 16);
    }
    return value;
}

View view_of(const Ort::Value& tensor) {
    const auto facts = tensor.GetTensorTypeAndShapeInfo();
    const DType& dtype = dtype_by_onnx(facts.GetElementType());
    Shape shape = facts.GetShape();
    const std::size_t size = elements(shape) * dtype.size;
    return {&dtype, std::move(shape), static_cast<const std::byte*>(tensor.GetTensorRawData()),
            size};
}

Array array_of(const Ort::Value& tensor) {
    if (is_text(tensor)) return text_of(tensor);
    if (is_bfloat16(tensor)) return widened(tensor);
    const View view = view_of(tensor);
    return {view.dtype, view.shape, {view.data, view.data + view.size}};
}

}  // namespace

Ort::Value input_value(const View& input, ONNXTensorElementDataType declared) {
    if (declared == ONNX_TENSOR_ELEMENT_DATA_TYPE_BFLOAT16 &&
        input.dtype == dtype_by_name("float32")) {
        return narrowed(input);
    }
    if (is_text(*input.dtype)) {
        const Ort::AllocatorWithDefaultOptions allocator;
        auto value = Ort::Value::CreateTensor(allocator, input.shape.data(), input.shape.size(),
                                              ONNX_TENSOR_ELEMENT_DATA_TYPE_STRING);
        const auto texts = texts_of(input);
        std::vector<const char*> pointers;
        for (const std::string& text : texts) pointers.push_back(text.c_str());
        value.FillStringTensor(pointers.data(), pointers.size());
        return value;
    }
    // The runtime does not write to its inputs, but has one type for them and its outputs.
    static std::byte nothing;  // an empty array may have no address
    auto* data = const_cast<std::byte*>(input.size ? input.data : &nothing);
    return Ort::Value::CreateTensor(
        memory(), data, input.size, input.shape.data(), input.shape.size(),
        static_cast<ONNXTensorElementDataType>(onnx_number(*input.dtype)));
}

void Answers::add(const std::string& name, Ort::Value value) {
    if (!value.HasValue()) return;  // an optional
    switch (type_of(value)) {
        case ONNX_TYPE_TENSOR: return add_tensor(name, std::move(value));
        case ONNX_TYPE_SEQUENCE: return add_sequence(name, value);
        case ONNX_TYPE_MAP: {
            std::vector<Ort::Value> maps;
            maps.push_back(std::move(value));
            return add_maps(name, std::move(maps), false);
        }
        default:
            throw Unsupported("the runner in C++ fetches tensors, sequences and maps: the output " +
                              name + " is none of them");
    }
}

void Answers::add_tensor(const std::string& name, Ort::Value value) {
    if (is_text(value) || is_bfloat16(value)) return add_array(name, array_of(value));
    names_.push_back(name);
    views_.push_back(view_of(value));
    values_.push_back(std::move(value));  // its elements stay where they are
}

void Answers::add_sequence(const std::string& name, const Ort::Value& value) {
    std::vector<Ort::Value> parts;
    for (std::size_t i = 0; i < value.GetCount(); ++i) parts.push_back(part_of(value, i));
    const bool of_maps = std::all_of(parts.begin(), parts.end(), [](const Ort::Value& part) {
        return type_of(part) == ONNX_TYPE_MAP;
    });
    if (of_maps && !parts.empty()) return add_maps(name, std::move(parts), true);
    for (std::size_t i = 0; i < parts.size(); ++i) {
        add(name + "." + std::to_string(i), std::move(parts[i]));
    }
}

// The runtime's maps are sorted by their keys, as UTF-8 is by its letters.
void Answers::add_maps(const std::string& name, std::vector<Ort::Value> maps, bool in_sequence) {
    std::vector<Array> keys, values;
    for (const Ort::Value& map : maps) {
        keys.push_back(array_of(part_of(map, 0)));
        values.push_back(array_of(part_of(map, 1)));
    }
    const bool alike = std::all_of(
        keys.begin(), keys.end(), [&](const Array& each) { return identical(each, keys.front()); });
    if (!alike) {
        for (std::size_t i = 0; i < keys.size(); ++i) {
            const std::string part = name + "." + std::to_string(i);
            add_array(part + ".keys", std::move(keys[i]));
            add_array(part + ".values", std::move(values[i]));
        }
        return;
    }
    Array joined = std::move(values.front());
    if (in_sequence) {
        joined.shape.insert(joined.shape.begin(), 1);
        for (std::size_t i = 1; i < values.size(); ++i) {
            values[i].shape.insert(values[i].shape.begin(), 1);
            append(joined, whole(values[i]));
        }
    }
    add_array(name + ".keys", std::move(keys.front()));
    add_array(name + ".values", std::move(joined));
}

void Answers::add_array(const std::string& name, Array array) {
    arrays_.push_back(std::move(array));
    names_.push_back(name);
    views_.push_back(whole(arrays_.back()));
}

}  // namespace deepmatrix
