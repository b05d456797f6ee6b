#include "dtype.hpp"

#include "errors.hpp"

namespace deepmatrix {
namespace {

const DType kTypes[] = {
    {"float32", "<f4", 4}, {"uint8", "|u1", 1},   {"int8", "|i1", 1},   {"uint16", "<u2", 2},
    {"int16", "<i2", 2},   {"int32", "<i4", 4},   {"int64", "<i8", 8},  {"bool", "|b1", 1},
    {"float16", "<f2", 2}, {"float64", "<f8", 8}, {"uint32", "<u4", 4}, {"uint64", "<u8", 8},
};

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

const DType& dtype_by_descr(const std::string& descr) {
    const DType* found = find([&](const DType& type) { return descr == type.descr; });
    if (!found && descr.rfind('>', 0) == 0) {
        throw Error("BadArray", "the runner reads no big-endian arrays");
    }
    if (!found) throw Unsupported("the runner reads no arrays of the type '" + descr + "'");
    return *found;
}

}  // namespace deepmatrix
