#include "text.hpp"

#include <algorithm>
#include <cstring>

#include "errors.hpp"

namespace deepmatrix {
namespace {

constexpr char32_t kReplacement = 0xfffd, kLargest = 0x10ffff;
constexpr char32_t kFirstSurrogate = 0xd800, kLastSurrogate = 0xdfff;

bool is_letter(char32_t letter) {
    return letter <= kLargest && (letter < kFirstSurrogate || letter > kLastSurrogate);
}

void append_utf8(std::string& text, char32_t letter) {
    const auto tail = [&](int shift) {
        text += static_cast<char>(0x80 | (letter >> shift & 0x3f));
    };
    if (letter < 0x80) {
        text += static_cast<char>(letter);
    } else if (letter < 0x800) {
        text += static_cast<char>(0xc0 | letter >> 6);
        tail(0);
    } else if (letter < 0x10000) {
        text += static_cast<char>(0xe0 | letter >> 12);
        tail(6);
        tail(0);
    } else {
        text += static_cast<char>(0xf0 | letter >> 18);
        tail(12);
        tail(6);
        tail(0);
    }
}

// Return the letter at a place and go on behind it; behind one byte where there is none.
char32_t next_letter(const std::string& text, std::size_t& at) {
    const auto byte = [&](std::size_t place) { return static_cast<unsigned char>(text[place]); };
    const unsigned char lead = byte(at);
    const std::size_t start = at++;
    if (lead < 0x80) return lead;
    const std::size_t tails = lead >= 0xf0 ? 3 : lead >= 0xe0 ? 2 : lead >= 0xc2 ? 1 : 0;
    if (!tails || lead > 0xf4 || start + tails >= text.size()) return kReplacement;
    char32_t letter = lead & (0x3f >> tails);
    for (std::size_t tail = 1; tail <= tails; ++tail) {
        if ((byte(start + tail) & 0xc0) != 0x80) return kReplacement;
        letter = letter << 6 | (byte(start + tail) & 0x3f);
    }
    constexpr char32_t kLeast[] = {0, 0x80, 0x800, 0x10000};
    if (letter < kLeast[tails] || !is_letter(letter)) return kReplacement;
    at = start + tails + 1;
    return letter;
}

}  // namespace

std::vector<std::string> texts_of(const View& array) {
    const std::size_t letters = array.dtype->size / sizeof(char32_t);
    std::vector<std::string> texts(elements(array.shape));
    std::u32string row(letters, U'\0');
    for (std::size_t i = 0; i < texts.size(); ++i) {
        std::memcpy(row.data(), array.data + i * array.dtype->size, array.dtype->size);
        const std::size_t end = row.find_last_not_of(U'\0') + 1;  // npos + 1 is 0
        for (std::size_t at = 0; at < end; ++at) {
            if (!is_letter(row[at]))
                throw Error("BadArray", "an input has text that is not valid Unicode");
            append_utf8(texts[i], row[at]);
        }
    }
    return texts;
}

Array text_array(const std::vector<std::string>& texts, Shape shape) {
    std::vector<std::u32string> rows;
    std::size_t letters = 1;  // as numpy has at least
    for (const std::string& text : texts) {
        std::u32string& row = rows.emplace_back();
        for (std::size_t at = 0; at < text.size();) row += next_letter(text, at);
        letters = std::max(letters, row.size());
    }
    const DType& dtype = text_dtype(letters);
    Array array{&dtype, std::move(shape), std::vector<std::byte>(rows.size() * dtype.size)};
    for (std::size_t i = 0; i < rows.size(); ++i) {
        if (rows[i].empty()) continue;
        std::memcpy(array.bytes.data() + i * dtype.size, rows[i].data(),
                    rows[i].size() * sizeof(char32_t));
    }
    return array;
}

}  // namespace deepmatrix
