// What a SavedModel's default signature takes and answers.
#pragma once

#include <cstddef>
#include <map>
#include <string>

namespace deepmatrix {

// Names of tensors, "operation:output", by the names that the signature gives them.
struct Signature {
    std::map<std::string, std::string> inputs;
    std::map<std::string, std::string> outputs;
};

// Return the signature "serving_default" of a MetaGraphDef as it is stored. Throws Error where it
// is torn, and Unsupported where there is none.
Signature default_signature(const void* data, std::size_t size);

}  // namespace deepmatrix
