#include "onnxruntime/refusals.hpp"

#include <algorithm>
#include <map>
#include <set>
#include <utility>

#include "errors.hpp"
#include "protobuf.hpp"

namespace deepmatrix {
namespace {

using protobuf::message;
using protobuf::number;

using Operator = std::pair<std::string, std::string>;  // its domain and its name
using Opsets = std::map<std::string, std::uint64_t>;   // by their domains

// An operator that does not exist, and what every runtime reads.
const char* const kNone = "NoSuchOperator";
constexpr std::uint64_t kOldIr = 3, kOldOpset = 7;
constexpr std::uint64_t kMost = 200;  // a model may claim any number

struct Needs {
    std::uint64_t ir = 0;
    Opsets opsets;
    std::set<Operator> operators;
};

std::string domain_of(std::string_view name) {
    return name == "ai.onnx" ? std::string() : std::string(name);
}

// Add the operators of a graph, or of a function, inner graphs included.
void add_operators(std::string_view graph, std::uint64_t node_field, std::set<Operator>& all) {
    protobuf::each(graph, node_field, [&](std::string_view node) {
        all.emplace(domain_of(protobuf::only(node, 7)), protobuf::only(node, 4));
        protobuf::each(node, 5, [&](std::string_view attribute) {
            for (std::uint64_t field : {6, 11}) {
                protobuf::each(attribute, field,
                               [&](std::string_view inner) { add_operators(inner, 1, all); });
            }
        });
    });
}

Needs read_needs(std::string_view model) {
    Needs needs;
    std::set<Operator> functions;
    const auto read = [&](std::uint64_t field, std::string_view content) {
        if (field == 7) add_operators(content, 1, needs.operators);
        if (field == 8) {
            std::uint64_t version = 0;
            protobuf::fields(
                content, [](std::uint64_t, std::string_view) {},
                [&](std::uint64_t part, std::uint64_t value) {
                    if (part == 2) version = value;
                });
            needs.opsets[domain_of(protobuf::only(content, 1))] = version;
        }
        if (field == 25) {
            functions.emplace(domain_of(protobuf::only(content, 10)), protobuf::only(content, 1));
            add_operators(content, 7, needs.operators);
        }
    };
    protobuf::fields(model, read, [&](std::uint64_t field, std::uint64_t value) {
        if (field == 1) needs.ir = value;
    });
    for (const Operator& own : functions) needs.operators.erase(own);
    return needs;
}

// Return the bytes of a model `y = operator(x)` of float32 (2,).
std::string one_node(std::uint64_t ir, std::uint64_t opset, const Operator& kind = {"", "Relu"},
                     Opsets opsets = {}) {
    std::string graph = message(1, message(1, "x") + message(2, "y") + message(4, kind.second) +
                                       message(7, kind.first)) +
                        message(2, "one");
    for (const auto& [field, name] : {std::pair{11, "x"}, std::pair{12, "y"}}) {
        const std::string shape = message(2, message(1, number(1, 2)));
        const std::string tensor = message(1, number(1, 1) + shape);
        graph += message(field, message(1, name) + message(2, tensor));
    }
    opsets[""] = opset;
    std::string model = number(1, ir) + message(7, graph);
    for (const auto& [domain, version] : opsets) {
        model += message(8, message(1, domain) + number(2, version));
    }
    return model;
}

// Return the text with all of one word replaced by another.
std::string replaced(std::string text, const std::string& word, const std::string& replacement) {
    for (std::size_t at = 0; (at = text.find(word, at)) != std::string::npos;
         at += replacement.size()) {
        text.replace(at, word.size(), replacement);
    }
    return text;
}

// Say up to which number below *above* the models that *make* returns are read.
template <typename Make>
std::string too_new(const std::string& what, std::uint64_t above, std::uint64_t least, Make make,
                    const Ask& ask) {
    for (std::uint64_t known = std::min(above - 1, kMost); known >= least; --known) {
        if (ask(make(known)).empty()) {
            return what + " " + std::to_string(above) + "; supported up to " +
                   std::to_string(known);
        }
    }
    return "";
}

}  // namespace

std::string explain_refusal(std::string_view model, const Ask& ask) {
    Needs needs;
    try {
        needs = read_needs(model);
    } catch (const Error&) {  // it is not a model
        return "";
    }
    const auto with_ir = [](std::uint64_t ir) { return one_node(ir, kOldOpset); };
    if (!ask(with_ir(needs.ir)).empty()) {
        return too_new("IR version", needs.ir, kOldIr, with_ir, ask);
    }
    const std::uint64_t opset = needs.opsets.emplace("", kOldOpset).first->second;
    const auto with_opset = [&](std::uint64_t version) { return one_node(needs.ir, version); };
    if (!ask(with_opset(opset)).empty()) return too_new("opset", opset, kOldOpset, with_opset, ask);
    std::string unknown;
    int count = 0;
    for (const Operator& kind : needs.operators) {
        const auto& [domain, name] = kind;
        const std::string own = ask(one_node(needs.ir, opset, kind, needs.opsets));
        if (own.empty()) continue;
        const std::string none = ask(one_node(needs.ir, opset, {domain, kNone}, needs.opsets));
        if (replaced(own, name, kNone) != none) continue;
        if (count++) unknown += ", ";
        if (!domain.empty()) unknown.append(domain).append(".");
        unknown += name;
    }
    if (!count) return "";
    return std::string("it does not know the operator") + (count > 1 ? "s " : " ") + unknown;
}

}  // namespace deepmatrix
