#include "failures.hpp"

#include <cxxabi.h>

#include <cstdlib>
#include <memory>
#include <nlohmann/json.hpp>
#include <typeinfo>

#include "errors.hpp"
#include "runtime.hpp"

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
    } catch (const Unsupported& error) {
        return {"unsupported", error.type(), error.what()};
    } catch (const Error& error) {
        return {"failed", error.type(), error.what()};
    } catch (const Ort::Exception& error) {
        const OrtErrorCode code = error.GetOrtErrorCode();
        return {code == ORT_NOT_IMPLEMENTED ? "unsupported" : "failed", name_of(code),
                error.what()};
    } catch (const std::exception& error) {
        return {"failed", name_of(typeid(error)), error.what()};
    } catch (...) {
        return {"failed", "Unknown", "something that is no exception was thrown"};
    }
}

nlohmann::json Failure::error() const {
    return {{"type", type}, {"message", message}, {"traceback", ""}};
}

}  // namespace deepmatrix
