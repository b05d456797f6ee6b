// ONNX Runtime: its environment, and a model that answers.
#pragma once

// The library is loaded by `Runtime` and not by the system before main: then the time that it takes
// is known, and its failure is data.
#define ORT_API_MANUAL_INIT
#include <onnxruntime_cxx_api.h>

#include <string>
#include <vector>

#include "array.hpp"

namespace deepmatrix {

// The runtime once it is loaded, on the CPU, with a number of threads that sleep when idle.
class Runtime {
  public:
    // Throws Error ("ImportError") where there is no library, and Ort::Exception.
    explicit Runtime(int threads);

    const std::string& version() const { return version_; }
    const Ort::Env& environment() const { return environment_; }
    const Ort::SessionOptions& options() const { return options_; }

  private:
    std::string version_;
    Ort::Env environment_;
    Ort::SessionOptions options_;
};

// A loaded model, and which of the arrays that it will be given is which of its inputs.
class Model {
  public:
    // Load the file at *path*, to be given arrays of these names: to the inputs of the same names,
    // or, where it lacks one of them, in its own order. Throws Error and Ort::Exception.
    static Model load(const Runtime& runtime, const std::string& path,
                      const std::vector<std::string>& given);

    // The same with the model itself.
    static Model parse(const Runtime& runtime, const std::string& bytes,
                       const std::vector<std::string>& given);

    // Return an array for each output, in the model's order. The elements stay the runtime's
    // and are not copied.
    std::vector<Ort::Value> answer(const std::vector<View>& inputs);

    const std::vector<std::string>& outputs() const { return outputs_; }

  private:
    Model(Ort::Session session, const std::vector<std::string>& given);

    Ort::Session session_;
    std::vector<std::string> inputs_;  // one for each array that is given
    std::vector<std::string> outputs_;
};

// Return an answer's elements as an array. Throws Unsupported where it is none of ours.
View view(const Ort::Value& value);

}  // namespace deepmatrix
