#include "files.hpp"

#include <cerrno>
#include <filesystem>
#include <fstream>
#include <system_error>

#include "errors.hpp"

namespace deepmatrix {
namespace {

[[noreturn]] void cannot_write(const std::string& path, int number) {
    const std::string message =
        "cannot write " + path + ": " + std::generic_category().message(number);
#ifdef EDQUOT  // not on Windows
    if (number == EDQUOT) throw NoRoom(message);
#endif
    if (number == ENOSPC) throw NoRoom(message);
    throw Error("CannotWrite", message);
}

}  // namespace

void write_whole(const std::string& path, std::initializer_list<std::string_view> parts) {
    const std::string temporary = path + ".part";
    errno = 0;
    std::ofstream file(temporary, std::ios::binary | std::ios::trunc);
    for (const std::string_view part : parts) {
        file.write(part.data(), static_cast<std::streamsize>(part.size()));
    }
    file.close();
    if (!file) cannot_write(temporary, errno);
    std::error_code code;
    std::filesystem::rename(temporary, path, code);  // also over what stands there, on Windows too
    if (code) cannot_write(path, code.default_error_condition().value());
}

}  // namespace deepmatrix
