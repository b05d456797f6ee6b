// Protocol buffers, read and written by hand: no byte of a file is trusted.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "errors.hpp"

namespace deepmatrix::protobuf {

[[noreturn]] inline void torn() { throw Error("BadModel", "a protocol buffer of it is torn"); }

// Take an integer from the front.
inline std::uint64_t varint(std::string_view& bytes) {
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

// Take *size* bytes from the front.
inline std::string_view taken(std::string_view& bytes, std::uint64_t size) {
    if (size > bytes.size()) torn();
    const std::string_view front = bytes.substr(0, size);
    bytes.remove_prefix(size);
    return front;
}

// Call *text* with the number and the content of every text or message, *integer* with the number
// and the value of every integer.
template <typename Text, typename Integer>
void fields(std::string_view message, Text text, Integer integer) {
    while (!message.empty()) {
        const std::uint64_t key = varint(message);
        switch (key & 7) {
            case 0: integer(key >> 3, varint(message)); break;
            case 1: taken(message, 8); break;
            case 5: taken(message, 4); break;
            case 2: text(key >> 3, taken(message, varint(message))); break;
            default: torn();
        }
    }
}

// Call *use* with every text or message of a field of this number.
template <typename Use>
void each(std::string_view message, std::uint64_t field, Use use) {
    fields(
        message,
        [&](std::uint64_t number, std::string_view content) {
            if (number == field) use(content);
        },
        [](std::uint64_t, std::uint64_t) {});
}

// Return the last text or message of a field, which is the one that counts.
inline std::string_view only(std::string_view message, std::uint64_t field) {
    std::string_view last;
    each(message, field, [&](std::string_view content) { last = content; });
    return last;
}

inline std::string bytes_of(std::uint64_t value) {
    std::string bytes;
    for (; value > 127; value >>= 7) bytes += static_cast<char>((value & 127) | 128);
    return bytes + static_cast<char>(value);
}

// Return a field that is an integer.
inline std::string number(std::uint64_t field, std::uint64_t value) {
    return bytes_of(field << 3) + bytes_of(value);
}

// Return a field that is a text or a message.
inline std::string message(std::uint64_t field, std::string_view content) {
    return bytes_of(field << 3 | 2) + bytes_of(content.size()) + std::string(content);
}

}  // namespace deepmatrix::protobuf
