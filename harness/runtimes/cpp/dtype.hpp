// Types of elements: those that .npy files and the runtimes share.
#pragma once

#include <cstddef>
#include <string>

namespace deepmatrix {

// A type's names in numpy and .npy. There is one object of each: compare addresses.
struct DType {
    const char* name;   // numpy's
    const char* descr;  // in a .npy header
    std::size_t size;   // bytes
};

// Return the type of this name, or null.
const DType* dtype_by_name(const std::string& name);

// Return the type of texts of a number of letters, UCS-4 as in numpy: one object for each length.
const DType& text_dtype(std::size_t letters);

// Say whether elements are texts; their letters have 4 bytes, and zeros fill the end.
bool is_text(const DType& dtype);

// Return the type of a .npy file's `descr`. Throws Unsupported.
const DType& dtype_by_descr(const std::string& descr);

}  // namespace deepmatrix
