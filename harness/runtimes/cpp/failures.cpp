#include "failures.hpp"

#include <cxxabi.h>

#include <cstdlib>
#include <memory>
#include <nlohmann/json.hpp>
#include <typeinfo>

#include "errors.hpp"

namespace deepmatrix {
namespace {

std::string name_of(const std::type_info& type) {
    int status = 0;
    const std::unique_ptr<char, void (*)(void*)> name(
        abi::__cxa_demangle(type.name(), nullptr, nullptr, &status), std::free);
    return name ? name.get() : type.name();
}

}  // namespace

Failure current_failure() {
    try {
        throw;
    } catch (const NoRoom&) {
        throw;  // ends the process
    } catch (const Unsupported& error) {
        return {"unsupported", error.type(), error.what()};
    } catch (const Error& error) {
        return {"failed", error.type(), error.what()};
    } catch (const std::exception& error) {
        return {"failed", name_of(typeid(error)), error.what()};
    } catch (...) {
        return {"failed", "Unknown", "something that is not an exception was thrown"};
    }
}

nlohmann::json Failure::error() const {
    return {{"type", type}, {"message", message}, {"traceback", ""}};
}

}  // namespace deepmatrix
