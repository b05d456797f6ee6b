// Arrays in memory: C order, the machine's own byte order.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "dtype.hpp"

namespace deepmatrix {

using Shape = std::vector<std::int64_t>;

// An array that owns its elements.
struct Array {
    const DType* dtype;
    Shape shape;
    std::vector<std::byte> bytes;
};

// An array, or some of its rows, whose elements belong to somebody else.
struct View {
    const DType* dtype;
    Shape shape;
    const std::byte* data;
    std::size_t size;  // bytes
};

// Return the number of elements. Throws Error where a dimension is negative or it overflows.
std::size_t elements(const Shape& shape);

// Return all of *array*.
View whole(const Array& array);

// Return *count* rows of *array* from *first* on. Throws Error where it has fewer.
View rows(const Array& array, std::int64_t first, std::int64_t count);

// Return a copy of *count* rows, from the start again where there are not enough.
Array take(const Array& array, std::int64_t count);

// Append the rows of *more* to *array*. Throws Error where type or shape do not fit.
void append(Array& array, const View& more);

// Say whether type, shape and every bit are the same: a NaN is equal to itself.
bool identical(const Array& left, const Array& right);

}  // namespace deepmatrix
