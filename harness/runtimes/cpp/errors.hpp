// Errors by the names that they have in output.json.
#pragma once

#include <stdexcept>
#include <string>

namespace deepmatrix {

// A failure with a name of its own, `type` in output.json.
class Error : public std::runtime_error {
  public:
    Error(std::string type, const std::string& message)
        : std::runtime_error(message), type_(std::move(type)) {}

    const std::string& type() const { return type_; }

  private:
    std::string type_;
};

// This cannot be done, as a fact about the runtime or the runner and not as a fault.
class Unsupported : public Error {
  public:
    explicit Unsupported(const std::string& message, const std::string& type = "Unsupported")
        : Error(type, message) {}
};

// The disk of the control directory is full, which is no failure of the job: the process ends with
// exit code 75.
class NoRoom : public std::runtime_error {
  public:
    using std::runtime_error::runtime_error;
};

// The control directory cannot be used: the process ends with exit code 2.
class BadInput : public std::runtime_error {
  public:
    using std::runtime_error::runtime_error;
};

}  // namespace deepmatrix
