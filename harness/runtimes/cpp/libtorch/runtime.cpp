// libtorch: TorchScript, and what AOTInductor compiled.
#include "runtime.hpp"

#include <ATen/Parallel.h>
#include <ATen/Version.h>
#include <torch/csrc/inductor/aoti_package/model_package_loader.h>
#include <torch/csrc/jit/runtime/jit_exception.h>
#include <torch/script.h>
#include <torch/version.h>

#include <algorithm>
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
    // their numbers, of nested ones both with dots; a single output is called y.
    void keep(const c10::IValue& value, const std::string& name = "") {
        const std::string prefix = name.empty() ? "" : name + ".";
        if (value.isGenericDict()) {
            for (const auto& entry : value.toGenericDict()) {
                keep(entry.value(), prefix + key_of(entry.key()));
            }
        } else if (value.isTuple() || value.isList()) {
            const auto several =
                value.isTuple() ? value.toTupleRef().elements().vec() : value.toListRef().vec();
            for (std::size_t i = 0; i < several.size(); ++i) {
                keep(several[i], prefix + std::to_string(i));
            }
        } else if (!value.isNone()) {
            outputs_.push_back(name.empty() ? "y" : name);
            answers_.push_back(array_of(value));
        }
    }

    static std::string key_of(const c10::IValue& key) {
        return key.isInt() ? std::to_string(key.toInt()) : key.toStringRef();
    }

    // A number of TorchScript is an array without an axis; bfloat16, which numpy has not, is
    // float32.
    static at::Tensor array_of(const c10::IValue& value) {
        if (value.isBool()) return at::scalar_tensor(value.toBool(), at::kBool);
        if (value.isInt()) return at::scalar_tensor(value.toInt(), at::kLong);
        if (value.isDouble()) return at::scalar_tensor(value.toDouble(), at::kDouble);
        if (!value.isTensor()) {
            throw Unsupported("the runner has no arrays for an output of the type " +
                              value.tagKind());
        }
        const at::Tensor tensor = value.toTensor();
        return (tensor.scalar_type() == at::kBFloat16 ? tensor.to(at::kFloat) : tensor)
            .contiguous();
    }

    std::vector<std::string> outputs_;
    std::vector<at::Tensor> answers_;
};

class Script : public TorchModel {
  public:
    Script(torch::jit::Module module, const std::vector<std::string>& given)
        : module_(std::move(module)) {
        module_.eval();
        std::vector<c10::Argument> own;
        std::vector<std::string> names;
        const auto& arguments = module_.get_method("forward").function().getSchema().arguments();
        for (std::size_t i = 1; i < arguments.size(); ++i) {  // the first is the module
            // What has a default need not be given.
            const bool is_given =
                std::find(given.begin(), given.end(), arguments[i].name()) != given.end();
            if (arguments[i].default_value() && !is_given) continue;
            own.push_back(arguments[i]);
            names.push_back(arguments[i].name());
        }
        for (std::size_t place : matched(given, names)) inputs_.push_back(own[place]);
    }

  protected:
    c10::IValue run(const std::vector<View>& inputs) override {
        torch::jit::Kwargs values;
        for (std::size_t i = 0; i < inputs.size(); ++i) {
            values[inputs_[i].name()] = value_of(inputs[i], inputs_[i]);
        }
        return module_.forward({}, values);
    }

  private:
    // Return an array, or the number that it holds where the argument is a number.
    static c10::IValue value_of(const View& input, const c10::Argument& argument) {
        c10::TypePtr type = argument.type();
        if (const auto optional = type->cast<c10::OptionalType>())
            type = optional->getElementType();
        const at::Tensor array = borrowed(input);
        const auto number = [&] {
            if (array.numel() == 1) return array.item();
            throw Error("WrongInputs", "the input " + argument.name() + " is a number");
        };
        switch (type->kind()) {
            case c10::TypeKind::IntType: return number().toLong();
            case c10::TypeKind::FloatType: return number().toDouble();
            case c10::TypeKind::BoolType: return number().toBool();
            case c10::TypeKind::NumberType: return number();
            default: return array;
        }
    }

    torch::jit::Module module_;
    std::vector<c10::Argument> inputs_;  // one for each array that is given
};

// A package knows of no names: inputs are taken in their order.
class Package : public TorchModel {
  public:
    explicit Package(const std::string& path) : loader_(path) {}

  protected:
    c10::IValue run(const std::vector<View>& inputs) override {
        std::vector<at::Tensor> values;
        for (const View& input : inputs) values.push_back(borrowed(input));
        std::vector<at::Tensor> outputs = loader_.run(values);
        return outputs.size() == 1 ? c10::IValue(outputs.front()) : c10::IValue(std::move(outputs));
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
