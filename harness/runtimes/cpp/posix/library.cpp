#include "library.hpp"

#include <dlfcn.h>

#include "errors.hpp"

namespace deepmatrix {

void* function_of(const char* library, const char* name) {
    void* loaded = dlopen(library, RTLD_NOW | RTLD_LOCAL);
    void* found = loaded ? dlsym(loaded, name) : nullptr;
    if (!found) throw Error("ImportError", dlerror());
    return found;
}

}  // namespace deepmatrix
