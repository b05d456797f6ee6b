#include "tensorflow/signature.hpp"

#include <cstdint>
#include <string_view>

#include "errors.hpp"

namespace deepmatrix {
namespace {

// Read by hand as protocol buffers, so that none of TensorFlow's own classes is needed. The numbers
// are the fields of meta_graph.proto.
constexpr int kSignatures = 5;
constexpr int kKey = 1, kValue = 2;  // of an entry of any map
constexpr int kInputs = 1, kOutputs = 2;
constexpr int kTensorName = 1;

[[noreturn]] void torn() { throw Error("BadModel", "the SavedModel's description is torn"); }

std::uint64_t varint(std::string_view& bytes) {
    std::uint64_t value = 0;
    for (int shift = 0; shift < 64; shift += 7) {
        if (bytes.empty()) torn();
        const auto byte = static_cast<unsigned char>(bytes.front());
        bytes.remove_prefix(1);
        value |= static_cast<std::uint64_t>(byte & 127) << shift;
        if (byte < 128) return value;
    }
    torn();
}

std::string_view taken(std::string_view& bytes, std::uint64_t size) {
    if (size > bytes.size()) torn();
    const std::string_view found = bytes.substr(0, size);
    bytes.remove_prefix(size);
    return found;
}

// Call *use* with every text or message of a field of this number.
template <typename Use>
void each(std::string_view message, int field, Use use) {
    while (!message.empty()) {
        const std::uint64_t key = varint(message);
        switch (key & 7) {
            case 0: varint(message); break;
            case 1: taken(message, 8); break;
            case 5: taken(message, 4); break;
            case 2: {
                const auto content = taken(message, varint(message));
                if (key >> 3 == static_cast<std::uint64_t>(field)) use(content);
                break;
            }
            default: torn();
        }
    }
}

// Return the last text or message of a field, which is the one that counts.
std::string_view only(std::string_view message, int field) {
    std::string_view found;
    each(message, field, [&](std::string_view content) { found = content; });
    return found;
}

std::map<std::string, std::string> tensors(std::string_view signature, int field) {
    std::map<std::string, std::string> found;
    each(signature, field, [&](std::string_view entry) {
        const auto name = only(only(entry, kValue), kTensorName);
        if (name.empty()) throw Unsupported("the runner has no arrays for a tensor without a name");
        found.emplace(only(entry, kKey), name);
    });
    return found;
}

}  // namespace

Signature default_signature(const void* data, std::size_t size) {
    Signature found;
    bool is_there = false;
    each({static_cast<const char*>(data), size}, kSignatures, [&](std::string_view entry) {
        if (only(entry, kKey) != "serving_default") return;
        const auto signature = only(entry, kValue);
        found = {tensors(signature, kInputs), tensors(signature, kOutputs)};
        is_there = true;
    });
    if (!is_there) throw Unsupported("the SavedModel has no signature serving_default");
    return found;
}

}  // namespace deepmatrix
