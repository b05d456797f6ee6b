// Print the default signature of a MetaGraphDef.

#include <fstream>
#include <iostream>
#include <iterator>

#include "errors.hpp"
#include "tensorflow/signature.hpp"

int main(int, char** arguments) {
    std::ifstream file(arguments[1], std::ios::binary);
    const std::string bytes{std::istreambuf_iterator<char>(file), {}};
    try {
        const auto found = deepmatrix::default_signature(bytes.data(), bytes.size());
        for (const auto& [name, tensor] : found.inputs) std::cout << name << "=" << tensor << " ";
        std::cout << "->";
        for (const auto& [name, tensor] : found.outputs) std::cout << " " << name << "=" << tensor;
    } catch (const deepmatrix::Error& error) {
        std::cout << error.type() << ": " << error.what();
        return 1;
    }
}
