#include "dtype.hpp"

#include <map>

#include "errors.hpp"

namespace deepmatrix {
namespace {

const DType kTypes[] = {
    {"float32", "<f4", 4}, {"uint8", "|u1", 1},   {"int8", "|i1", 1},   {"uint16", "<u2", 2},
    {"int16", "<i2", 2},   {"int32", "<i4", 4},   {"int64", "<i8", 8},  {"bool", "|b1", 1},
    {"float16", "<f2", 2}, {"float64", "<f8", 8}, {"uint32", "<u4", 4}, {"uint64", "<u8", 8},
};

constexpr char kText[] = "str";
constexpr std::size_t kLetter = 4;  // bytes
constexpr std::size_t kMostDigits = 9;

struct TextType {
    std::string descr;
    DType type;
};

// Return the letters of "<U12", or 0 where it is something else.
std::size_t letters_of(const std::string& descr) {
    const std::string digits = descr.rfind("<U", 0) == 0 ? descr.substr(2) : "";
    const bool is_number = digits.find_first_not_of("0123456789") == std::string::npos;
    return is_number && !digits.empty() && digits.size() <= kMostDigits ? std::stoul(digits) : 0;
}

template <typename Matches>
const DType* find(Matches matches) {
    for (const DType& type : kTypes) {
        if (matches(type)) return &type;
    }
    return nullptr;
}

}  // namespace

const DType* dtype_by_name(const std::string& name) {
    return find([&](const DType& type) { return name == type.name; });
}

const DType& text_dtype(std::size_t letters) {
    static std::map<std::size_t, TextType> types;  // whose elements never move
    const auto [entry, added] = types.try_emplace(letters);
    TextType& text = entry->second;
    if (added) {
        text.descr = "<U" + std::to_string(letters);
        text.type = {kText, text.descr.c_str(), letters * kLetter};
    }
    return text.type;
}

bool is_text(const DType& dtype) { return dtype.name == kText; }

const DType& dtype_by_descr(const std::string& descr) {
    if (const std::size_t letters = letters_of(descr)) return text_dtype(letters);
    const DType* dtype = find([&](const DType& type) { return descr == type.descr; });
    if (!dtype && descr.rfind('>', 0) == 0) {
        throw Error("BadArray", "the runner reads no big-endian arrays");
    }
    if (!dtype) throw Unsupported("the runner reads no arrays of the type '" + descr + "'");
    return *dtype;
}

}  // namespace deepmatrix
