// libtorch: TorchScript, and what AOTInductor compiled.
#include "runtime.hpp"

#include <ATen/Parallel.h>
#include <ATen/Version.h>
#include <torch/csrc/inductor/aoti_package/model_package_loader.h>
#include <torch/csrc/jit/runtime/jit_exception.h>
#include <torch/script.h>
#include <torch/version.h>

#include <optional>

#include "errors.hpp"

namespace deepmatrix {
namespace {

struct Element {
    const char* name;
    at::ScalarType type;
};

const Element kElements[] = {
    {"float32", at::kFloat}, {"float64", at::kDouble}, {"float16", at::kHalf},
    {"int8", at::kChar},     {"int16", at::kShort},    {"int32", at::kInt},
    {"int64", at::kLong},    {"uint8", at::kByte},     {"uint16", at::kUInt16},
    {"uint32", at::kUInt32}, {"uint64", at::kUInt64},  {"bool", at::kBool},
};

at::ScalarType type_of(const DType& dtype) {
    for (const Element& element : kElements) {
        if (element.name == std::string(dtype.name)) return element.type;
    }
    throw Unsupported(std::string("libtorch has no arrays of the type ") + dtype.name);
}

const DType& dtype_of(at::ScalarType type) {
    for (const Element& element : kElements) {
        if (element.type == type) return *dtype_by_name(element.name);
    }
    throw Unsupported(std::string("the runner has no arrays of torch's type ") +
                      at::toString(type));
}

// Do something with the runtime; what it throws becomes the runner's own, named as in Python.
template <typename Action>
auto guarded(Action action) {
    try {
        return action();
    } catch (const c10::NotImplementedError& error) {
        throw Unsupported(error.what_without_backtrace(), "NotImplementedError");
    } catch (const c10::Error& error) {
        throw Error("RuntimeError", error.what_without_backtrace());
    } catch (const torch::jit::JITException& error) {
        throw Error("RuntimeError", error.what());
    }
}

// Nothing writes to an input, but torch has one type for inputs and outputs.
at::Tensor borrowed(const View& input) {
    return at::from_blob(const_cast<std::byte*>(input.data), input.shape,
                         at::TensorOptions(type_of(*input.dtype)));
}

View view(const at::Tensor& tensor) {
    return {&dtype_of(tensor.scalar_type()), tensor.sizes().vec(),
            static_cast<const std::byte*>(tensor.const_data_ptr()), tensor.nbytes()};
}

class TorchModel : public Model {
  public:
    std::vector<View> answer(const std::vector<View>& inputs) override {
        return guarded([&] {
            const c10::InferenceMode guard;
            answers_.clear();
            outputs_.clear();
            keep(run(inputs));
            std::vector<View> views;
            for (const at::Tensor& answer : answers_) views.push_back(view(answer));
            return views;
        });
    }

    const std::vector<std::string>& outputs() const override { return outputs_; }

  protected:
    virtual c10::IValue run(const std::vector<View>& inputs) = 0;

  private:
    // The names are those that the adapter in Python gives: of a dictionary its own, of several
    // their numbers.
    void keep(const c10::IValue& found) {
        if (found.isTensor()) return keep("y", found);
        if (found.isGenericDict()) {
            for (const auto& entry : found.toGenericDict()) {
                keep(entry.key().toStringRef(), entry.value());
            }
            return;
        }
        if (!found.isTuple() && !found.isList()) {
            throw Unsupported("the runner has no arrays for an output of the type " +
                              found.tagKind());
        }
        const auto several =
            found.isTuple() ? found.toTupleRef().elements().vec() : found.toListRef().vec();
        for (std::size_t i = 0; i < several.size(); ++i) keep(std::to_string(i), several[i]);
    }

    void keep(const std::string& name, const c10::IValue& found) {
        if (!found.isTensor()) {
            throw Unsupported("the runner has no arrays for an output that is not a tensor");
        }
        outputs_.push_back(name);
        answers_.push_back(found.toTensor().contiguous());
    }

    std::vector<std::string> outputs_;
    std::vector<at::Tensor> answers_;
};

class Script : public TorchModel {
  public:
    Script(torch::jit::Module module, const std::vector<std::string>& given)
        : module_(std::move(module)) {
        module_.eval();
        std::vector<std::string> own;
        const auto& arguments = module_.get_method("forward").function().getSchema().arguments();
        for (std::size_t i = 1; i < arguments.size(); ++i) {  // the first is the module
            if (!arguments[i].default_value()) own.push_back(arguments[i].name());
        }
        places_ = matched(given, own);
    }

  protected:
    c10::IValue run(const std::vector<View>& inputs) override {
        std::vector<c10::IValue> values(inputs.size());
        for (std::size_t i = 0; i < inputs.size(); ++i) {
            values.at(places_[i]) = borrowed(inputs[i]);
        }
        return module_.forward(std::move(values));
    }

  private:
    torch::jit::Module module_;
    std::vector<std::size_t> places_;  // of each array that is given, among the arguments
};

// A package knows of no names: inputs are taken in their order.
class Package : public TorchModel {
  public:
    explicit Package(const std::string& path) : loader_(path) {}

  protected:
    c10::IValue run(const std::vector<View>& inputs) override {
        std::vector<at::Tensor> values;
        for (const View& input : inputs) values.push_back(borrowed(input));
        std::vector<at::Tensor> found = loader_.run(values);
        return found.size() == 1 ? c10::IValue(found.front()) : c10::IValue(std::move(found));
    }

  private:
    torch::inductor::AOTIModelPackageLoader loader_;
};

class Product : public TorchModel {
  protected:
    c10::IValue run(const std::vector<View>& inputs) override {
        return at::matmul(borrowed(inputs.at(0)), borrowed(inputs.at(1)));
    }
};

class Torch : public Runtime {
  public:
    explicit Torch(int threads) {
        at::set_num_threads(threads);
        at::set_num_interop_threads(1);
    }

    std::string name() const override { return "libtorch"; }
    std::string version() const override { return TORCH_VERSION; }
    std::string blas() const override {
        return std::string("torch: ") + (at::hasMKL() ? "MKL" : "no MKL") + ", " +
               at::get_cpu_capability();
    }
    int threads() const override { return at::get_num_threads(); }

    std::unique_ptr<Model> load(const std::string& format, const std::string& path,
                                const std::vector<std::string>& given) const override {
        return guarded([&]() -> std::unique_ptr<Model> {
            if (format == "aotinductor") return std::make_unique<Package>(path);
            if (format != "torchscript") throw Unsupported("libtorch does not read " + format);
            return std::make_unique<Script>(torch::jit::load(path, at::kCPU), given);
        });
    }

    std::unique_ptr<Model> product(const DType&) const override {
        return std::make_unique<Product>();
    }
};

}  // namespace

std::unique_ptr<Runtime> start_runtime(int threads) {
    return guarded([&] { return std::make_unique<Torch>(threads); });
}

}  // namespace deepmatrix
