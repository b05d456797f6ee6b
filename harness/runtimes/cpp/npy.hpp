// The .npy files of numpy, as far as the protocol goes: version 1.0, little-endian, C order.
#pragma once

#include <string>

#include "array.hpp"

namespace deepmatrix {

// Read a file. Throws Unsupported for a type that is not ours, else Error ("BadArray"): where
// the file is not what its header says, before memory is taken for it.
Array read_npy(const std::string& path);

// Write a file under a temporary name and rename it. Throws NoRoom, and Error
// ("CannotWrite").
void write_npy(const std::string& path, const Array& array);

}  // namespace deepmatrix
