#include "tensorflow/signature.hpp"

#include <string_view>

#include "errors.hpp"
#include "protobuf.hpp"

namespace deepmatrix {
namespace {

using protobuf::each;
using protobuf::only;

// Read by hand as protocol buffers, so that none of TensorFlow's own classes is needed. The numbers
// are the fields of meta_graph.proto.
constexpr int kSignatures = 5;
constexpr int kKey = 1, kValue = 2;  // of an entry of any map
constexpr int kInputs = 1, kOutputs = 2;
constexpr int kTensorName = 1;

std::map<std::string, std::string> tensors(std::string_view signature, int field) {
    std::map<std::string, std::string> names;
    each(signature, field, [&](std::string_view entry) {
        const auto name = only(only(entry, kValue), kTensorName);
        if (name.empty()) throw Unsupported("the runner has no arrays for a tensor without a name");
        names.emplace(only(entry, kKey), name);
    });
    return names;
}

}  // namespace

Signature default_signature(const void* data, std::size_t size) {
    Signature result;
    bool is_there = false;
    each({static_cast<const char*>(data), size}, kSignatures, [&](std::string_view entry) {
        if (only(entry, kKey) != "serving_default") return;
        const auto signature = only(entry, kValue);
        result = {tensors(signature, kInputs), tensors(signature, kOutputs)};
        is_there = true;
    });
    if (!is_there) throw Unsupported("the SavedModel has no signature serving_default");
    return result;
}

}  // namespace deepmatrix
