#include "npy.hpp"

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <limits>

#include "errors.hpp"
#include "files.hpp"

namespace deepmatrix {
namespace {

constexpr char kMagic[] = "\x93NUMPY\x01";  // and a zero: version 1.0
constexpr std::size_t kPrefix = 10;         // magic, version, and the header's size
constexpr std::size_t kAlignment = 64;      // of the elements within the file
constexpr std::size_t kMaxDimensions = 64;  // as numpy

// The header is a Python dict. It comes from a file that nobody has checked, so what is read is
// this one form of it, and anything else is refused.
class Header {
  public:
    Header(const std::string& path, std::string text) : path_(path), text_(std::move(text)) {
        expect('{');
        while (!accept('}')) {
            const std::string key = quoted();
            expect(':');
            if (key == "descr") {
                once(has_descr_);
                descr = quoted();
            } else if (key == "fortran_order") {
                once(has_order_);
                fortran_order = boolean();
            } else if (key == "shape") {
                once(has_shape_);
                shape = tuple();
            } else {
                refuse("its header has the key '" + key + "'");
            }
            if (!accept(',')) {
                expect('}');
                break;
            }
        }
        if (text_.find_first_not_of(" \n", at_) != std::string::npos) refuse("its header goes on");
        if (!has_descr_ || !has_order_ || !has_shape_) refuse("its header is not complete");
    }

    std::string descr;
    bool fortran_order = false;
    Shape shape;

    [[noreturn]] void refuse(const std::string& why) const {
        throw Error("BadArray", path_ + " cannot be read: " + why);
    }

  private:
    void skip_spaces() {
        while (at_ < text_.size() && text_[at_] == ' ') ++at_;
    }

    bool accept(char wanted) {
        skip_spaces();
        if (at_ >= text_.size() || text_[at_] != wanted) return false;
        ++at_;
        return true;
    }

    void expect(char wanted) {
        if (!accept(wanted)) refuse(std::string("its header lacks a '") + wanted + "'");
    }

    void once(bool& seen) {
        if (seen) refuse("its header has a duplicate key");
        seen = true;
    }

    std::string quoted() {
        expect('\'');
        const std::size_t end = text_.find('\'', at_);
        if (end == std::string::npos) refuse("its header has an open quote");
        std::string content = text_.substr(at_, end - at_);
        at_ = end + 1;
        return content;
    }

    bool boolean() {
        skip_spaces();
        for (const std::string word : {"True", "False"}) {
            if (text_.compare(at_, word.size(), word) == 0) {
                at_ += word.size();
                return word == "True";
            }
        }
        refuse("its order is neither True nor False");
    }

    Shape tuple() {
        Shape sizes;
        expect('(');
        while (!accept(')')) {
            sizes.push_back(number());
            if (sizes.size() > kMaxDimensions) refuse("it has too many dimensions");
            if (!accept(',')) {
                expect(')');
                break;
            }
        }
        return sizes;
    }

    std::int64_t number() {
        skip_spaces();
        std::int64_t value = 0;
        const std::size_t began = at_;
        for (; at_ < text_.size() && text_[at_] >= '0' && text_[at_] <= '9'; ++at_) {
            if (__builtin_mul_overflow(value, 10, &value) ||
                __builtin_add_overflow(value, text_[at_] - '0', &value)) {
                refuse("a dimension is too large");
            }
        }
        if (at_ == began) refuse("a dimension is not a number");
        return value;
    }

    const std::string& path_;
    std::string text_;
    std::size_t at_ = 0;
    bool has_descr_ = false, has_order_ = false, has_shape_ = false;
};

// Files are little-endian, and some of our machines are not.
void swap_where_big_endian(const DType& dtype, std::vector<std::byte>& bytes) {
#if __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
    const std::size_t size = is_text(dtype) ? 4 : dtype.size;
    for (auto element = bytes.begin(); element != bytes.end(); element += size) {
        std::reverse(element, element + size);
    }
#else
    (void)dtype;
    (void)bytes;
#endif
}

std::string header_text(const Array& array) {
    std::string shape;
    for (std::int64_t dimension : array.shape) shape += std::to_string(dimension) + ", ";
    // Python's: one dimension keeps its comma, several have none at the end.
    if (array.shape.size() == 1) shape.pop_back();
    if (array.shape.size() > 1) shape.erase(shape.size() - 2);
    std::string text = std::string("{'descr': '") + array.dtype->descr +
                       "', 'fortran_order': False, 'shape': (" + shape + "), }";
    const std::size_t used = (kPrefix + text.size() + 1) % kAlignment;
    text.append((kAlignment - used) % kAlignment, ' ');
    return text + '\n';
}

}  // namespace

Array read_npy(const std::string& path) {
    const auto refuse = [&](const std::string& why) -> Error {
        return Error("BadArray", path + " cannot be read: " + why);
    };
    std::error_code code;
    const std::uintmax_t size = std::filesystem::file_size(path, code);  // only of a real file
    std::ifstream file(path, std::ios::binary);
    if (code || !file) throw refuse("it is missing or no file");

    unsigned char prefix[kPrefix];
    if (!file.read(reinterpret_cast<char*>(prefix), kPrefix)) throw refuse("it is too short");
    if (!std::equal(kMagic, kMagic + sizeof kMagic, reinterpret_cast<const char*>(prefix))) {
        throw refuse("it is not a .npy file of version 1.0");
    }
    std::string text(prefix[8] | prefix[9] << 8, '\0');
    if (!file.read(text.data(), static_cast<std::streamsize>(text.size()))) {
        throw refuse("its header is cut off");
    }
    const std::uintmax_t left = size - kPrefix - text.size();

    const Header header(path, std::move(text));
    if (header.fortran_order && header.shape.size() > 1) throw refuse("it is in Fortran order");
    const DType& dtype = dtype_by_descr(header.descr);
    std::size_t needed = 0;
    if (__builtin_mul_overflow(elements(header.shape), dtype.size, &needed) || needed != left) {
        throw refuse("its size is not what its header says");
    }

    Array array{&dtype, header.shape, std::vector<std::byte>(needed)};
    if (!file.read(reinterpret_cast<char*>(array.bytes.data()),
                   static_cast<std::streamsize>(needed))) {
        throw refuse("it is cut off");
    }
    const bool truth_values = std::all_of(array.bytes.begin(), array.bytes.end(),
                                          [](std::byte each) { return each <= std::byte{1}; });
    if (dtype_by_name("bool") == &dtype && !truth_values) throw refuse("a bool is neither 0 nor 1");
    swap_where_big_endian(dtype, array.bytes);
    return array;
}

void write_npy(const std::string& path, const Array& array) {
    const std::string text = header_text(array);
    if (text.size() > std::numeric_limits<std::uint16_t>::max()) {
        throw Error("CannotWrite", path + ": it has too many dimensions");
    }
    std::vector<std::byte> bytes = array.bytes;
    swap_where_big_endian(*array.dtype, bytes);
    const char size[] = {static_cast<char>(text.size() & 0xff),
                         static_cast<char>(text.size() >> 8)};
    write_whole(path, {{kMagic, sizeof kMagic},
                       {size, sizeof size},
                       text,
                       {reinterpret_cast<const char*>(bytes.data()), bytes.size()}});
}

}  // namespace deepmatrix
