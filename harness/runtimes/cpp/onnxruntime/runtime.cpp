// ONNX Runtime.
#include "runtime.hpp"

#include <filesystem>
#include <fstream>
#include <iostream>
#include <iterator>
#include <sstream>

#include "errors.hpp"
#include "library.hpp"
#include "machine.hpp"
#include "onnxruntime/answers.hpp"
#include "onnxruntime/api.hpp"
#include "onnxruntime/inputs.hpp"
#include "onnxruntime/product.hpp"
#include "onnxruntime/refusals.hpp"

// The library's file name; the build knows its version.
#ifndef DEEPMATRIX_ONNXRUNTIME
#define DEEPMATRIX_ONNXRUNTIME "libonnxruntime.so"
#endif

namespace deepmatrix {
namespace {

// The same names as in the runtime's Python package.
const char* name_of(OrtErrorCode code) {
    switch (code) {
        case ORT_INVALID_ARGUMENT: return "InvalidArgument";
        case ORT_NO_SUCHFILE: return "NoSuchFile";
        case ORT_NO_MODEL: return "NoModel";
        case ORT_ENGINE_ERROR: return "EngineError";
        case ORT_RUNTIME_EXCEPTION: return "RuntimeException";
        case ORT_INVALID_PROTOBUF: return "InvalidProtobuf";
        case ORT_MODEL_LOADED: return "ModelLoaded";
        case ORT_NOT_IMPLEMENTED: return "NotImplemented";
        case ORT_INVALID_GRAPH: return "InvalidGraph";
        case ORT_EP_FAIL: return "EPFail";
        default: return "Fail";
    }
}

// Do something with the runtime; what it throws becomes the runner's own.
template <typename Action>
auto guarded(Action action) {
    try {
        return action();
    } catch (const Ort::Exception& error) {
        const OrtErrorCode code = error.GetOrtErrorCode();
        if (code == ORT_NOT_IMPLEMENTED) throw Unsupported(error.what(), name_of(code));
        throw Error(name_of(code), error.what());
    }
}

// Holds back what is written to std::cerr, and in the end lets pass what is of interest.
//
// Debian's ONNX Runtime and the ONNX library that it is linked to each register all operators, and
// say so in hundreds of lines, among which nobody would find the one that matters.
class WithoutSchemaErrors {
  public:
    WithoutSchemaErrors() : before_(std::cerr.rdbuf(&captured_)) {}
    ~WithoutSchemaErrors() {
        std::cerr.rdbuf(before_);
        std::istringstream lines(captured_.str());
        for (std::string line; std::getline(lines, line);) {
            if (!line.empty() && line.rfind("Schema error: Trying to register", 0) != 0) {
                std::cerr << line << '\n';
            }
        }
    }
    WithoutSchemaErrors(const WithoutSchemaErrors&) = delete;
    WithoutSchemaErrors& operator=(const WithoutSchemaErrors&) = delete;

  private:
    std::stringbuf captured_;
    std::streambuf* before_;
};

// Load the library, for good; return its version.
std::string load_library() {
    void* entry = function_of(DEEPMATRIX_ONNXRUNTIME, "OrtGetApiBase");
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

std::vector<const char*> pointers(const std::vector<std::string>& names) {
    std::vector<const char*> result;
    for (const std::string& name : names) result.push_back(name.c_str());
    return result;
}

class OnnxModel : public Model {
  public:
    OnnxModel(Ort::Session session, const std::vector<std::string>& given)
        : session_(std::move(session)), inputs_(inputs_of(session_, given)) {
        const Ort::AllocatorWithDefaultOptions allocator;
        for (std::size_t i = 0; i < session_.GetOutputCount(); ++i) {
            outputs_.emplace_back(session_.GetOutputNameAllocated(i, allocator).get());
        }
        for (const Input& input : inputs_) names_.push_back(input.name());
    }

    std::vector<View> answer(const std::vector<View>& arrays) override {
        return guarded([&] {
            std::vector<Ort::Value> values;
            values.reserve(inputs_.size());
            for (const Input& input : inputs_) values.push_back(input.value(arrays));
            const auto in = pointers(names_), out = pointers(outputs_);
            auto answered = session_.Run(Ort::RunOptions{nullptr}, in.data(), values.data(),
                                         values.size(), out.data(), out.size());
            answers_ = Answers();
            for (std::size_t i = 0; i < answered.size(); ++i) {
                answers_.add(outputs_[i], std::move(answered[i]));
            }
            return answers_.views();
        });
    }

    const std::vector<std::string>& outputs() const override { return answers_.names(); }

  private:
    Ort::Session session_;
    std::vector<Input> inputs_;
    std::vector<std::string> names_;  // of the inputs
    std::vector<std::string> outputs_;
    Answers answers_;
};

class OnnxRuntime : public Runtime {
  public:
    explicit OnnxRuntime(int threads)
        : version_(load_library()), environment_(ORT_LOGGING_LEVEL_WARNING, "runner"), options_() {
        options_.SetIntraOpNumThreads(threads);
        options_.SetInterOpNumThreads(1);
        options_.AddConfigEntry("session.intra_op.allow_spinning", "0");
        // The first session is the one that registers the operators: a part of loading the runtime.
        const WithoutSchemaErrors quiet;
        product(*dtype_by_name("float32"));
    }

    std::string name() const override { return "onnxruntime"; }
    std::string version() const override { return version_; }
    std::string blas() const override { return "onnxruntime: MLAS"; }

    // The runtime does not tell what it was set to: this thread is counted, and those that a
    // session starts.
    int threads() const override {
        const int before = process_threads();
        const auto model = product(*dtype_by_name("float32"));
        return process_threads() - before + 1;
    }

    std::unique_ptr<Model> load(const std::string& format, const std::string& path,
                                const std::vector<std::string>& given) const override {
        if (format != "onnx" && format != "ort") {
            throw Unsupported("ONNX Runtime does not read " + format);
        }
        return guarded([&] {
            const std::filesystem::path file(path);  // in the characters of the system's paths
            return std::make_unique<OnnxModel>(open(file, format), given);
        });
    }

    std::unique_ptr<Model> product(const DType& dtype) const override {
        return guarded([&] {
            const std::string bytes = product_model(dtype);
            return std::make_unique<OnnxModel>(
                Ort::Session(environment_, bytes.data(), bytes.size(), options_),
                std::vector<std::string>{"left", "right"});
        });
    }

  private:
    // Open a model. Throws Unsupported where it is too new, or has operators that are not known.
    Ort::Session open(const std::filesystem::path& file, const std::string& format) const {
        try {
            return Ort::Session(environment_, file.c_str(), options_);
        } catch (const Ort::Exception&) {
            const std::string why = format == "onnx" ? refusal_of(file) : "";
            if (why.empty()) throw;
            throw Unsupported("onnxruntime " + version_ + ": " + why);
        }
    }

    std::string refusal_of(const std::filesystem::path& path) const {
        std::ifstream file(path, std::ios::binary);
        const std::string model{std::istreambuf_iterator<char>(file), {}};
        return explain_refusal(model, [&](const std::string& bytes) -> std::string {
            try {
                const Ort::Session session(environment_, bytes.data(), bytes.size(), options_);
                return "";
            } catch (const Ort::Exception& error) {
                return error.what();
            }
        });
    }

    std::string version_;
    Ort::Env environment_;
    Ort::SessionOptions options_;
};

}  // namespace

std::unique_ptr<Runtime> start_runtime(int threads) {
    return guarded([&] { return std::make_unique<OnnxRuntime>(threads); });
}

}  // namespace deepmatrix
