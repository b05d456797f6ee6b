#include "runtime.hpp"

#include <dlfcn.h>

#include <algorithm>
#include <iostream>
#include <sstream>

#include "errors.hpp"
#include "product.hpp"

// The library's file name; the build knows its version.
#ifndef DEEPMATRIX_ONNXRUNTIME
#define DEEPMATRIX_ONNXRUNTIME "libonnxruntime.so"
#endif

namespace deepmatrix {
namespace {

const Ort::MemoryInfo& memory() {
    static const auto info = Ort::MemoryInfo::CreateCpu(OrtDeviceAllocator, OrtMemTypeCPU);
    return info;
}

std::vector<const char*> pointers(const std::vector<std::string>& names) {
    std::vector<const char*> found;
    for (const std::string& name : names) found.push_back(name.c_str());
    return found;
}

// Holds back what is written to std::cerr, and in the end lets pass what is of interest.
//
// Debian's ONNX Runtime and the ONNX library that it is linked to each register all operators, and
// say so in hundreds of lines, among which nobody would find the one that matters.
class WithoutSchemaErrors {
  public:
    WithoutSchemaErrors() : before_(std::cerr.rdbuf(&said_)) {}
    ~WithoutSchemaErrors() {
        std::cerr.rdbuf(before_);
        std::istringstream lines(said_.str());
        for (std::string line; std::getline(lines, line);) {
            if (!line.empty() && line.rfind("Schema error: Trying to register", 0) != 0) {
                std::cerr << line << '\n';
            }
        }
    }
    WithoutSchemaErrors(const WithoutSchemaErrors&) = delete;
    WithoutSchemaErrors& operator=(const WithoutSchemaErrors&) = delete;

  private:
    std::stringbuf said_;
    std::streambuf* before_;
};

// Load the library, for good; return its version.
std::string load_library() {
    void* library = dlopen(DEEPMATRIX_ONNXRUNTIME, RTLD_NOW | RTLD_LOCAL);
    void* entry = library ? dlsym(library, "OrtGetApiBase") : nullptr;
    if (!entry) throw Error("ImportError", dlerror());
    const OrtApiBase* base = reinterpret_cast<decltype(&OrtGetApiBase)>(entry)();
    const OrtApi* api = base->GetApi(ORT_API_VERSION);
    if (!api) {
        throw Error("ImportError",
                    std::string("the runner was made for another ONNX Runtime than ") +
                        base->GetVersionString());
    }
    Ort::InitApi(api);
    return base->GetVersionString();
}

// The runtime does not write to its inputs, but has one type for them and its outputs.
Ort::Value borrowed(const View& input) {
    static std::byte nothing;  // an empty array may have no address
    auto* data = const_cast<std::byte*>(input.size ? input.data : &nothing);
    return Ort::Value::CreateTensor(memory(), data, input.size, input.shape.data(),
                                    input.shape.size(),
                                    static_cast<ONNXTensorElementDataType>(input.dtype->onnx));
}

}  // namespace

Runtime::Runtime(int threads)
    : version_(load_library()), environment_(ORT_LOGGING_LEVEL_WARNING, "runner"), options_() {
    options_.SetIntraOpNumThreads(threads);
    options_.SetInterOpNumThreads(1);
    options_.AddConfigEntry("session.intra_op.allow_spinning", "0");
    // The first session is the one that registers the operators: a part of loading the runtime.
    const WithoutSchemaErrors quiet;
    Model::parse(*this, product_model(*dtype_by_name("float32")), {"left", "right"});
}

Model Model::load(const Runtime& runtime, const std::string& path,
                  const std::vector<std::string>& given) {
    return {Ort::Session(runtime.environment(), path.c_str(), runtime.options()), given};
}

Model Model::parse(const Runtime& runtime, const std::string& bytes,
                   const std::vector<std::string>& given) {
    return {Ort::Session(runtime.environment(), bytes.data(), bytes.size(), runtime.options()),
            given};
}

Model::Model(Ort::Session session, const std::vector<std::string>& given)
    : session_(std::move(session)) {
    Ort::AllocatorWithDefaultOptions allocator;
    std::vector<std::string> own;
    for (std::size_t i = 0; i < session_.GetInputCount(); ++i) {
        own.emplace_back(session_.GetInputNameAllocated(i, allocator).get());
    }
    for (std::size_t i = 0; i < session_.GetOutputCount(); ++i) {
        outputs_.emplace_back(session_.GetOutputNameAllocated(i, allocator).get());
    }
    const bool by_name = std::all_of(given.begin(), given.end(), [&](const std::string& name) {
        return std::find(own.begin(), own.end(), name) != own.end();
    });
    if (!by_name && given.size() != own.size()) {
        throw Error("WrongInputs", "the model has " + std::to_string(own.size()) +
                                       " inputs with other names than the " +
                                       std::to_string(given.size()) + " that are given");
    }
    inputs_ = by_name ? given : own;
}

std::vector<Ort::Value> Model::answer(const std::vector<View>& inputs) {
    std::vector<Ort::Value> values;
    values.reserve(inputs.size());
    for (const View& input : inputs) values.push_back(borrowed(input));
    const auto in = pointers(inputs_), out = pointers(outputs_);
    return session_.Run(Ort::RunOptions{nullptr}, in.data(), values.data(), values.size(),
                        out.data(), out.size());
}

View view(const Ort::Value& value) {
    if (!value.HasValue() || !value.IsTensor()) {
        throw Unsupported("the runner has no arrays for an output that is not a tensor");
    }
    const auto facts = value.GetTensorTypeAndShapeInfo();
    const DType& dtype = dtype_by_onnx(facts.GetElementType());
    Shape shape = facts.GetShape();
    const std::size_t size = elements(shape) * dtype.size;
    return {&dtype, std::move(shape), static_cast<const std::byte*>(value.GetTensorRawData()),
            size};
}

}  // namespace deepmatrix
