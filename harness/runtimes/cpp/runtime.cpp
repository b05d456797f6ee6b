#include "runtime.hpp"

#include <algorithm>

#include "errors.hpp"

namespace deepmatrix {

std::vector<std::size_t> matched(const std::vector<std::string>& given,
                                 const std::vector<std::string>& own) {
    std::vector<std::size_t> places;
    for (const std::string& name : given) {
        const auto place = std::find(own.begin(), own.end(), name);
        if (place != own.end()) places.push_back(static_cast<std::size_t>(place - own.begin()));
    }
    if (places.size() == given.size()) return places;
    if (given.size() != own.size()) {
        throw Error("WrongInputs", "the model has " + std::to_string(own.size()) +
                                       " inputs with other names than the " +
                                       std::to_string(given.size()) + " that it got");
    }
    places.clear();
    for (std::size_t i = 0; i < own.size(); ++i) places.push_back(i);
    return places;
}

}  // namespace deepmatrix
