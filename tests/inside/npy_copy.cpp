// Read one .npy file and write it to another: what the tests drive the reader with.

#include <cstdio>

#include "errors.hpp"
#include "npy.hpp"

int main(int count, char** arguments) {
    if (count != 3) return 2;
    try {
        deepmatrix::write_npy(arguments[2], deepmatrix::read_npy(arguments[1]));
    } catch (const deepmatrix::Error& error) {
        std::printf("%s: %s\n", error.type().c_str(), error.what());
        return 1;
    } catch (const deepmatrix::NoRoom& error) {
        std::printf("%s\n", error.what());
        return 75;
    }
    return 0;
}
