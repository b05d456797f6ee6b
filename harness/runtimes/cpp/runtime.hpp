// The seam between the runner and what answers. The build chooses one implementation, a folder
// beside this file: it has all that is declared here, and `start_runtime`.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "array.hpp"

namespace deepmatrix {

// A loaded model.
class Model {
  public:
    virtual ~Model() = default;

    // Return an array for each output, in the model's order, from one for each name that the model
    // was loaded with. The elements are the runtime's, and stand until the next call.
    virtual std::vector<View> answer(const std::vector<View>& inputs) = 0;

    // Return the outputs' names; there need not be any before the first answer.
    virtual const std::vector<std::string>& outputs() const = 0;
};

// The runtime once it is loaded, on the CPU. What it throws is Error, and Unsupported where it says
// itself that it cannot do something.
class Runtime {
  public:
    virtual ~Runtime() = default;

    virtual std::string name() const = 0;  // as in `versions`
    virtual std::string version() const = 0;
    virtual std::string blas() const = 0;
    virtual int threads() const = 0;  // that compute, the caller's among them

    // Load the model at *path*, to be given arrays of these names: to the inputs of the same names,
    // or, where it lacks one of them, in its own order.
    virtual std::unique_ptr<Model> load(const std::string& format, const std::string& path,
                                        const std::vector<std::string>& given) const = 0;

    // Return a model of one product of two matrices of any size: what proves the arithmetic.
    virtual std::unique_ptr<Model> product(const DType& dtype) const = 0;
};

// Load the runtime, with this many threads that sleep when idle. Throws Error ("ImportError")
// where there is none.
std::unique_ptr<Runtime> start_runtime(int threads);

// Return, for each array that is given, which of a model's *own* inputs it is for. Throws Error.
std::vector<std::size_t> matched(const std::vector<std::string>& given,
                                 const std::vector<std::string>& own);

}  // namespace deepmatrix
