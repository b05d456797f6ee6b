#include "generation.hpp"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>
#include <nlohmann/json.hpp>

#include "errors.hpp"
#include "timing.hpp"

namespace deepmatrix {
namespace {

using Json = nlohmann::json;

Array copy_of(const View& view) {
    return {view.dtype, view.shape, {view.data, view.data + view.size}};
}

Array tokens_of(const std::vector<std::int64_t>& tokens) {
    Array array{dtype_by_name("int64"), {1, static_cast<std::int64_t>(tokens.size())}, {}};
    array.bytes.resize(tokens.size() * sizeof(std::int64_t));
    std::memcpy(array.bytes.data(), tokens.data(), array.bytes.size());
    return array;
}

// The cache before the first token: zeros, of which there may be none.
std::vector<Array> first_cache(const Generation& generation) {
    std::vector<Array> cache;
    for (const Cached& entry : generation.cache) {
        const DType* dtype = dtype_by_name("float32");
        const std::size_t size = elements(entry.shape) * dtype->size;
        cache.push_back({dtype, entry.shape, std::vector<std::byte>(size)});
    }
    return cache;
}

// Return what each input that the model was loaded with gets. Throws Error for another one.
std::vector<View> feed(const Job& job, const Array& tokens, const std::vector<Array>& cache) {
    std::vector<View> views;
    for (const Input& input : job.inputs) {
        const auto& entries = job.generation->cache;
        const auto entry = std::find_if(entries.begin(), entries.end(), [&](const Cached& each) {
            return each.input == input.name;
        });
        if (input.name == job.generation->tokens) {
            views.push_back(whole(tokens));
        } else if (entry != entries.end()) {
            views.push_back(whole(cache[static_cast<std::size_t>(entry - entries.begin())]));
        } else {
            throw Error("WrongInputs", "generation has nothing for the input " + input.name);
        }
    }
    return views;
}

// Return the places of the logits, and then of the cache, among the outputs: by their names, or
// in this order where the format has others. Throws Error where there are more or fewer.
std::vector<std::size_t> places(const Generation& generation,
                                const std::vector<std::string>& outputs) {
    std::vector<std::string> wanted{generation.logits};
    for (const Cached& entry : generation.cache) wanted.push_back(entry.output);
    if (wanted.size() != outputs.size()) {
        throw Error("WrongOutputs", "the model has " + std::to_string(outputs.size()) +
                                        " outputs, and generation needs " +
                                        std::to_string(wanted.size()));
    }
    std::vector<std::size_t> found, ordered;
    for (std::size_t i = 0; i < wanted.size(); ++i) {
        ordered.push_back(i);
        const auto place = std::find(outputs.begin(), outputs.end(), wanted[i]);
        if (place != outputs.end()) {
            found.push_back(static_cast<std::size_t>(place - outputs.begin()));
        }
    }
    return found.size() == wanted.size() ? found : ordered;
}

// What is chosen after the last position of some logits, and by how much.
struct Choice {
    std::int64_t token;   // with the largest logit, the first of equal ones
    std::int64_t second;  // the one that comes next
    double margin;        // how far the second's logit is below
    double scale;         // the largest absolute logit
};

// Choose by logits (1, length, vocabulary), float32. Throws Error ("BadLogits") for others, and
// where one is not finite.
Choice choose(const View& logits) {
    const Shape& shape = logits.shape;
    if (logits.dtype != dtype_by_name("float32") || shape.size() != 3 || shape[0] != 1 ||
        shape[1] < 1 || shape[2] < 2) {
        throw Error("BadLogits", "the logits are no float32 of the shape (1, length, vocabulary)");
    }
    std::vector<float> last(static_cast<std::size_t>(shape[2]));
    const std::size_t size = last.size() * sizeof(float);
    std::memcpy(last.data(), logits.data + (logits.size - size), size);
    double scale = 0;
    for (float logit : last) {
        if (!std::isfinite(logit)) throw Error("BadLogits", "a logit is not finite");
        scale = std::max(scale, std::abs(static_cast<double>(logit)));
    }
    const auto first = std::max_element(last.begin(), last.end());
    const double largest = *first;
    *first = -std::numeric_limits<float>::infinity();
    const auto second = std::max_element(last.begin(), last.end());
    return {first - last.begin(), second - last.begin(), largest - *second, scale};
}

struct Generated {
    std::vector<Choice> choices;
    std::vector<double> seconds;  // of every call
    std::size_t cache_bytes = 0;
};

Generated generate_once(Model& model, const Job& job) {
    Generated result;
    std::vector<std::int64_t> fed = job.generation->prompt;
    std::vector<Array> cache = first_cache(*job.generation);
    for (std::int64_t step = 0; step < job.generation->steps; ++step) {
        const Array tokens = tokens_of(fed);
        const std::vector<View> inputs = feed(job, tokens, cache);
        std::vector<View> answers;
        result.seconds.push_back(timed([&] { answers = model.answer(inputs); }));
        const auto at = places(*job.generation, model.outputs());
        result.choices.push_back(choose(answers.at(at[0])));
        // The answers are the runtime's, and stand until the next call.
        for (std::size_t i = 0; i < cache.size(); ++i) cache[i] = copy_of(answers.at(at[i + 1]));
        fed = {result.choices.back().token};
    }
    for (const Array& array : cache) result.cache_bytes += array.bytes.size();
    return result;
}

template <typename Field>
Json each(const Generated& generated, Field Choice::* field) {
    Json values = Json::array();
    for (const Choice& choice : generated.choices) values.push_back(choice.*field);
    return values;
}

}  // namespace

Json generate(Model& model, const Job& job) {
    Json prefill = Json::array(), steps = Json::array();
    Generated first;
    bool repeatable = true;
    for (std::int64_t time = 0; time < job.infer.generations; ++time) {
        const Generated generated = generate_once(model, job);
        prefill.push_back(generated.seconds.front());
        steps.push_back(std::vector(generated.seconds.begin() + 1, generated.seconds.end()));
        if (time == 0) first = generated;
        repeatable &= each(generated, &Choice::token) == each(first, &Choice::token);
    }
    return {{"tokens", each(first, &Choice::token)},
            {"runners_up", each(first, &Choice::second)},
            {"margins", each(first, &Choice::margin)},
            {"scales", each(first, &Choice::scale)},
            {"repeatable", repeatable},
            {"cache_bytes", first.cache_bytes},
            {"prefill_s", prefill},
            {"step_s", steps}};
}

}  // namespace deepmatrix
