#include "library.hpp"

#include <dlfcn.h>

#include "errors.hpp"

namespace deepmatrix {

void* function_of(const char* library, const char* name) {
    void* loaded = dlopen(library, RTLD_NOW | RTLD_LOCAL);
    void* symbol = loaded ? dlsym(loaded, name) : nullptr;
    if (!symbol) throw Error("ImportError", dlerror());
    return symbol;
}

}  // namespace deepmatrix
