// Print why a model is refused by a runtime made of facts: the IR version and the opset that it
// reads at most, and an operator that it knows beside Relu.

#include <fstream>
#include <iostream>
#include <iterator>

#include "onnxruntime/refusals.hpp"

int main(int, char** arguments) {
    std::ifstream file(arguments[1], std::ios::binary);
    const std::string model{std::istreambuf_iterator<char>(file), {}};
    const int ir = std::stoi(arguments[2]), opset = std::stoi(arguments[3]);
    const std::string known = arguments[4];
    std::cout << deepmatrix::explain_refusal(model, [&](const std::string& bytes) -> std::string {
        const auto has = [&](const std::string& name) {
            return bytes.find(name) != std::string::npos;
        };
        if (static_cast<unsigned char>(bytes.at(1)) > ir) return "its IR is too new";
        // The standard's domain is the first that is imported: its version follows its empty name.
        const std::string standard{"\x42\x04\x0a\x00\x10", 5};
        if (bytes.at(bytes.find(standard) + 5) > opset) return "its opset is too new";
        if (has("Relu")) return "";
        for (const std::string& name : {std::string("NoSuchOperator"), std::string("Frob")}) {
            if (has(name)) return name + " is not registered";
        }
        return has(known) ? "wrong inputs" : "";
    });
}
