#include "library.hpp"

#include <windows.h>

#include <string>
#include <system_error>

#include "errors.hpp"

namespace deepmatrix {

void* function_of(const char* library, const char* name) {
    const HMODULE loaded = LoadLibraryA(library);
    const FARPROC symbol = loaded ? GetProcAddress(loaded, name) : nullptr;
    if (!symbol) {
        const std::error_code code(static_cast<int>(GetLastError()), std::system_category());
        throw Error("ImportError", std::string(library) + ": " + code.message());
    }
    return reinterpret_cast<void*>(symbol);
}

}  // namespace deepmatrix
