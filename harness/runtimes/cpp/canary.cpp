#include "canary.hpp"

#include <algorithm>
#include <cstring>

#include "timing.hpp"

namespace deepmatrix {
namespace {

constexpr std::int64_t kSide = 256;  // three matrices of 256 KiB: in most second-level caches
constexpr std::size_t kCopied = 16u << 20;  // bytes: beyond most caches
constexpr double kBudget_s = 0.04;          // for each of the two
constexpr std::size_t kLeast = 3;

// Return seconds, one an action, for as long as the budget lasts, in ascending order; the first
// action is warm-up.
template <typename Action>
std::vector<double> samples(Action action) {
    action();
    std::vector<double> times;
    const double began = now_s();
    while (times.size() < kLeast || now_s() - began < kBudget_s) times.push_back(timed(action));
    std::sort(times.begin(), times.end());
    return times;
}

double median(const std::vector<double>& sorted) {
    const std::size_t middle = sorted.size() / 2;
    return sorted.size() % 2 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2;
}

// Return values from -1 to 1, row by row or column by column.
Array ramp(const DType& dtype, bool transposed) {
    Array array{&dtype, {kSide, kSide}, std::vector<std::byte>(kSide * kSide * sizeof(float))};
    for (std::int64_t i = 0; i < kSide * kSide; ++i) {
        const std::int64_t at = transposed ? i % kSide * kSide + i / kSide : i;
        const float value = -1 + 2 * static_cast<float>(i) / (kSide * kSide - 1);
        std::memcpy(array.bytes.data() + at * sizeof value, &value, sizeof value);
    }
    return array;
}

}  // namespace

Canary measure_canary(const Runtime& runtime) {
    const DType& float32 = *dtype_by_name("float32");
    const auto model = runtime.product(float32);
    const Array left = ramp(float32, false), right = ramp(float32, true);
    const std::vector<View> factors = {whole(left), whole(right)};
    const auto products = samples([&] { model->answer(factors); });

    const std::vector<std::byte> source(kCopied, std::byte{1});
    std::vector<std::byte> target(kCopied);
    const auto copies = samples([&] {
        std::memcpy(target.data(), source.data(), kCopied);
        asm volatile("" : : "r"(target.data()) : "memory");  // nobody reads it: keep the copy
    });
    const double flops = 2.0 * kSide * kSide * kSide;
    return {flops / median(products), flops / products.front(), 2.0 * kCopied / median(copies)};
}

}  // namespace deepmatrix
