#include "selftest.hpp"

#include <cmath>
#include <cstring>
#include <limits>

#include "errors.hpp"

namespace deepmatrix {
namespace {

// Odd sizes, larger than a kernel's block, so that the main loops and their remainders run. Every
// partial sum is an integer below 2**24: exact in float32 in any order.
constexpr std::int64_t kRows = 131, kInner = 197, kColumns = 67;

std::int64_t left_at(std::int64_t i, std::int64_t j) { return (i * kInner + j) * 7 % 17 - 8; }
std::int64_t right_at(std::int64_t i, std::int64_t j) { return (i * kColumns + j) * 5 % 13 - 6; }

template <typename Element, typename At>
Array matrix(const DType& dtype, std::int64_t height, std::int64_t width, At at) {
    std::vector<Element> values;
    for (std::int64_t i = 0; i < height; ++i) {
        for (std::int64_t j = 0; j < width; ++j) values.push_back(static_cast<Element>(at(i, j)));
    }
    Array array{&dtype, {height, width}, std::vector<std::byte>(values.size() * sizeof(Element))};
    std::memcpy(array.bytes.data(), values.data(), array.bytes.size());
    return array;
}

template <typename Element>
double difference(const View& product) {
    double largest = 0;
    for (std::int64_t i = 0; i < kRows; ++i) {
        for (std::int64_t j = 0; j < kColumns; ++j) {
            std::int64_t exact = 0;
            for (std::int64_t k = 0; k < kInner; ++k) exact += left_at(i, k) * right_at(k, j);
            Element element;
            std::memcpy(&element, product.data + (i * kColumns + j) * sizeof element,
                        sizeof element);
            const double error =
                std::abs(static_cast<double>(element) - static_cast<double>(exact));
            if (!std::isfinite(error)) return std::numeric_limits<double>::max();
            largest = std::max(largest, error);
        }
    }
    return largest;
}

template <typename Element>
double error_of(const Runtime& runtime, const DType& dtype) {
    const auto model = runtime.product(dtype);
    const Array left = matrix<Element>(dtype, kRows, kInner, left_at);
    const Array right = matrix<Element>(dtype, kInner, kColumns, right_at);
    const View product = model->answer({whole(left), whole(right)}).at(0);
    if (product.dtype != &dtype || product.shape != Shape{kRows, kColumns}) {
        return std::numeric_limits<double>::max();
    }
    return difference<Element>(product);
}

double error_in(const Runtime& runtime, const DType& dtype) {
    const std::string name = dtype.name;
    if (name == "float32") return error_of<float>(runtime, dtype);
    if (name == "float64") return error_of<double>(runtime, dtype);
    if (name == "int32") return error_of<std::int32_t>(runtime, dtype);
    return error_of<std::int64_t>(runtime, dtype);
}

// In fewer bits the product is not exact.
bool exact_in(const DType* dtype) {
    if (!dtype) return false;
    const std::string name = dtype->name;
    return name == "float32" || name == "float64" || name == "int32" || name == "int64";
}

}  // namespace

std::vector<SelfTest> run_selftest(const Runtime& runtime, const std::vector<std::string>& dtypes) {
    std::vector<SelfTest> results;
    for (const std::string& name : dtypes) {
        const DType* dtype = dtype_by_name(name);
        if (!exact_in(dtype)) continue;
        try {
            const double error = error_in(runtime, *dtype);
            results.push_back({name, error == 0, error});
        } catch (const Unsupported&) {
            continue;  // there is no product in this type
        }
    }
    return results;
}

}  // namespace deepmatrix
