// TensorFlow's C API, and SavedModel.
#include "runtime.hpp"

#include <tensorflow/c/c_api.h>

#include <cstdlib>
#include <optional>

#include "errors.hpp"
#include "tensorflow/signature.hpp"

namespace deepmatrix {
namespace {

struct Element {
    const char* name;
    TF_DataType type;
};

const Element kElements[] = {
    {"float32", TF_FLOAT}, {"float64", TF_DOUBLE}, {"float16", TF_HALF},  {"int8", TF_INT8},
    {"int16", TF_INT16},   {"int32", TF_INT32},    {"int64", TF_INT64},   {"uint8", TF_UINT8},
    {"uint16", TF_UINT16}, {"uint32", TF_UINT32},  {"uint64", TF_UINT64}, {"bool", TF_BOOL},
};

TF_DataType type_of(const DType& dtype) {
    for (const Element& element : kElements) {
        if (element.name == std::string(dtype.name)) return element.type;
    }
    throw Unsupported(std::string("TensorFlow has no arrays of the type ") + dtype.name);
}

const DType& dtype_of(TF_DataType type) {
    for (const Element& element : kElements) {
        if (element.type == type) return *dtype_by_name(element.name);
    }
    throw Unsupported("the runner has no arrays of TensorFlow's type " + std::to_string(type));
}

// The same names as in the runtime's Python package.
const char* name_of(TF_Code code) {
    switch (code) {
        case TF_INVALID_ARGUMENT: return "InvalidArgumentError";
        case TF_NOT_FOUND: return "NotFoundError";
        case TF_FAILED_PRECONDITION: return "FailedPreconditionError";
        case TF_UNIMPLEMENTED: return "UnimplementedError";
        case TF_RESOURCE_EXHAUSTED: return "ResourceExhaustedError";
        case TF_INTERNAL: return "InternalError";
        default: return "OpError";
    }
}

// Frees an object of the C API.
struct Free {
    void operator()(TF_Status* object) const { TF_DeleteStatus(object); }
    void operator()(TF_Buffer* object) const { TF_DeleteBuffer(object); }
    void operator()(TF_Graph* object) const { TF_DeleteGraph(object); }
    void operator()(TF_SessionOptions* object) const { TF_DeleteSessionOptions(object); }
    void operator()(TF_Tensor* object) const { TF_DeleteTensor(object); }
};

template <typename Object>
using Owned = std::unique_ptr<Object, Free>;

// What a call to the C API says of itself.
class Status {
  public:
    TF_Status* get() const { return status_.get(); }

    void check() const {
        const TF_Code code = TF_GetCode(status_.get());
        if (code == TF_OK) return;
        const char* message = TF_Message(status_.get());
        if (code == TF_UNIMPLEMENTED) throw Unsupported(message, name_of(code));
        throw Error(name_of(code), message);
    }

  private:
    Owned<TF_Status> status_{TF_NewStatus()};
};

struct Close {
    void operator()(TF_Session* session) const {
        const Status status;
        TF_DeleteSession(session, status.get());
    }
};

// A graph that can be run.
struct Loaded {
    Owned<TF_Graph> graph;
    std::unique_ptr<TF_Session, Close> session;
};

// Nothing writes to an input, but TensorFlow has one type for inputs and outputs. It copies those
// whose address is not a multiple of what its kernels want.
Owned<TF_Tensor> borrowed(const View& input) {
    const auto keep = [](void*, std::size_t, void*) {};
    return Owned<TF_Tensor>(TF_NewTensor(
        type_of(*input.dtype), input.shape.data(), static_cast<int>(input.shape.size()),
        const_cast<std::byte*>(input.data), input.size, keep, nullptr));
}

View view(const TF_Tensor* tensor) {
    const DType& dtype = dtype_of(TF_TensorType(tensor));
    Shape shape;
    for (int i = 0; i < TF_NumDims(tensor); ++i) shape.push_back(TF_Dim(tensor, i));
    return {&dtype, std::move(shape), static_cast<const std::byte*>(TF_TensorData(tensor)),
            TF_TensorByteSize(tensor)};
}

// Return a graph's tensor by its name, "operation:output".
TF_Output tensor_of(TF_Graph* graph, const std::string& name) {
    const std::size_t colon = name.rfind(':');
    TF_Operation* operation = TF_GraphOperationByName(graph, name.substr(0, colon).c_str());
    if (!operation) throw Error("BadModel", "the graph has no tensor " + name);
    return {operation, colon == std::string::npos ? 0 : std::stoi(name.substr(colon + 1))};
}

class GraphModel : public Model {
  public:
    GraphModel(Loaded loaded, const Signature& signature, const std::vector<std::string>& given)
        : loaded_(std::move(loaded)) {
        std::vector<std::string> own;
        for (const auto& [name, tensor] : signature.inputs) own.push_back(name);
        for (std::size_t place : matched(given, own)) {
            inputs_.push_back(tensor_of(loaded_.graph.get(), signature.inputs.at(own[place])));
        }
        for (const auto& [name, tensor] : signature.outputs) {
            names_.push_back(name);
            outputs_.push_back(tensor_of(loaded_.graph.get(), tensor));
        }
    }

    std::vector<View> answer(const std::vector<View>& inputs) override {
        std::vector<Owned<TF_Tensor>> values;
        std::vector<TF_Tensor*> in, out(outputs_.size());
        for (const View& input : inputs) {
            values.push_back(borrowed(input));
            in.push_back(values.back().get());
        }
        const Status status;
        TF_SessionRun(loaded_.session.get(), nullptr, inputs_.data(), in.data(),
                      static_cast<int>(in.size()), outputs_.data(), out.data(),
                      static_cast<int>(out.size()), nullptr, 0, nullptr, status.get());
        status.check();
        answers_.clear();
        std::vector<View> views;
        for (TF_Tensor* tensor : out) answers_.emplace_back(tensor);
        for (const auto& answer : answers_) views.push_back(view(answer.get()));
        return views;
    }

    const std::vector<std::string>& outputs() const override { return names_; }

  private:
    Loaded loaded_;
    std::vector<TF_Output> inputs_;  // one for each array that is given
    std::vector<TF_Output> outputs_;
    std::vector<std::string> names_;
    std::vector<Owned<TF_Tensor>> answers_;
};

// Add an operation to a graph, and return its first output.
TF_Output add(TF_Graph* graph, const char* kind, const char* name, TF_DataType type,
              const char* attribute, const std::vector<TF_Output>& inputs) {
    TF_OperationDescription* description = TF_NewOperation(graph, kind, name);
    TF_SetAttrType(description, attribute, type);
    for (const TF_Output& input : inputs) TF_AddInput(description, input);
    const Status status;
    TF_Operation* operation = TF_FinishOperation(description, status.get());
    status.check();
    return {operation, 0};
}

class TensorFlow : public Runtime {
  public:
    explicit TensorFlow(int threads) : threads_(threads) {
        setenv("TF_CPP_MIN_LOG_LEVEL", "2", 0);  // warnings and errors are enough
        // A ConfigProto by hand: intra_op_parallelism_threads (2), and one inter_op (5).
        std::string config = "\x28\x01\x10";
        for (unsigned left = static_cast<unsigned>(threads);; left >>= 7) {
            config += static_cast<char>(left > 127 ? (left & 127) | 128 : left);
            if (left <= 127) break;
        }
        const Status status;
        TF_SetConfig(options_.get(), config.data(), config.size(), status.get());
        status.check();
    }

    std::string name() const override { return "tensorflow"; }
    std::string version() const override { return TF_Version(); }
    std::string blas() const override {
        const char* setting = std::getenv("TF_ENABLE_ONEDNN_OPTS");
        return std::string("tensorflow: Eigen, oneDNN ") + (setting ? setting : "default");
    }
    // The C API tells nobody what it was set to, and sleeping threads cannot be told from others.
    int threads() const override { return threads_; }

    std::unique_ptr<Model> load(const std::string& format, const std::string& path,
                                const std::vector<std::string>& given) const override {
        if (format != "saved-model") throw Unsupported("TensorFlow does not read " + format);
        Loaded loaded{Owned<TF_Graph>(TF_NewGraph()), nullptr};
        const Owned<TF_Buffer> described(TF_NewBuffer());
        const char* const tags[] = {"serve"};
        const Status status;
        loaded.session.reset(TF_LoadSessionFromSavedModel(options_.get(), nullptr, path.c_str(),
                                                          tags, 1, loaded.graph.get(),
                                                          described.get(), status.get()));
        status.check();
        const Signature signature = default_signature(described->data, described->length);
        return std::make_unique<GraphModel>(std::move(loaded), signature, given);
    }

    std::unique_ptr<Model> product(const DType& dtype) const override {
        Loaded loaded{Owned<TF_Graph>(TF_NewGraph()), nullptr};
        TF_Graph* graph = loaded.graph.get();
        const TF_DataType type = type_of(dtype);
        const auto left = add(graph, "Placeholder", "left", type, "dtype", {});
        const auto right = add(graph, "Placeholder", "right", type, "dtype", {});
        add(graph, "MatMul", "product", type, "T", {left, right});
        const Status status;
        loaded.session.reset(TF_NewSession(graph, options_.get(), status.get()));
        status.check();
        const Signature signature = {{{"left", "left:0"}, {"right", "right:0"}},
                                     {{"product", "product:0"}}};
        return std::make_unique<GraphModel>(std::move(loaded), signature,
                                            std::vector<std::string>{"left", "right"});
    }

  private:
    int threads_;
    Owned<TF_SessionOptions> options_{TF_NewSessionOptions()};
};

}  // namespace

std::unique_ptr<Runtime> start_runtime(int threads) {
    return std::make_unique<TensorFlow>(threads);
}

}  // namespace deepmatrix
