#include "array.hpp"

#include <algorithm>
#include <cstring>

#include "errors.hpp"

namespace deepmatrix {
namespace {

std::int64_t length(const Shape& shape) {
    if (shape.empty()) throw Error("NoRows", "an array without dimensions has no rows");
    return shape.front();
}

Shape with_rows(Shape shape, std::int64_t count) {
    shape.front() = count;
    return shape;
}

std::size_t row_bytes(const DType& dtype, const Shape& shape) {
    return elements(with_rows(shape, 1)) * dtype.size;
}

}  // namespace

std::size_t elements(const Shape& shape) {
    std::size_t count = 1;
    for (std::int64_t dimension : shape) {
        if (dimension < 0 || __builtin_mul_overflow(count, dimension, &count)) {
            throw Error("BadArray", "a shape is negative or too large");
        }
    }
    return count;
}

View whole(const Array& array) {
    return {array.dtype, array.shape, array.bytes.data(), array.bytes.size()};
}

View rows(const Array& array, std::int64_t first, std::int64_t count) {
    const std::int64_t there = length(array.shape);
    if (first < 0 || count < 0 || first > there || count > there - first) {
        throw Error("NoRows", "asked for " + std::to_string(count) + " rows from row " +
                                  std::to_string(first) + " on, of " + std::to_string(there));
    }
    const std::size_t row = row_bytes(*array.dtype, array.shape);
    return {array.dtype, with_rows(array.shape, count),
            array.bytes.data() + row * static_cast<std::size_t>(first),
            row * static_cast<std::size_t>(count)};
}

Array take(const Array& array, std::int64_t count) {
    const std::int64_t there = length(array.shape);
    if (there == 0) throw Error("NoRows", "there is no row to make a batch of");
    const std::size_t row = row_bytes(*array.dtype, array.shape);
    std::size_t size = 0;
    if (count < 0 || __builtin_mul_overflow(row, count, &size)) {
        throw Error("BadArray", "a batch is negative or too large");
    }
    Array taken{array.dtype, with_rows(array.shape, count), std::vector<std::byte>(size)};
    for (std::size_t done = 0; done < size;) {
        const std::size_t piece = std::min(size - done, array.bytes.size());
        std::memcpy(taken.bytes.data() + done, array.bytes.data(), piece);
        done += piece;
    }
    return taken;
}

void append(Array& array, const View& more) {
    const std::int64_t added = length(more.shape), before = length(array.shape);
    if (more.dtype != array.dtype || with_rows(more.shape, 0) != with_rows(array.shape, 0)) {
        throw Error("BadOutput", "the answers of two batches differ in more than their rows");
    }
    array.shape.front() = before + added;
    array.bytes.insert(array.bytes.end(), more.data, more.data + more.size);
}

bool identical(const Array& left, const Array& right) {
    return left.dtype == right.dtype && left.shape == right.shape && left.bytes == right.bytes;
}

}  // namespace deepmatrix
