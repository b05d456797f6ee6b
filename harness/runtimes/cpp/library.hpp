// Libraries that are loaded by the program and not by the system before main.
#pragma once

namespace deepmatrix {

// Load a library, for good, and return its function of this name. Raises ImportError.
void* function_of(const char* library, const char* name);

}  // namespace deepmatrix
