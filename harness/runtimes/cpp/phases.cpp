#include "phases.hpp"

#include <filesystem>
#include <nlohmann/json.hpp>

#include "errors.hpp"
#include "generation.hpp"
#include "machine.hpp"
#include "npy.hpp"
#include "timing.hpp"

namespace deepmatrix {
namespace {

std::vector<View> all(const std::vector<Array>& arrays) {
    std::vector<View> views;
    for (const Array& array : arrays) views.push_back(whole(array));
    return views;
}

std::vector<View> rows_of(const std::vector<Array>& arrays, std::int64_t first,
                          std::int64_t count) {
    std::vector<View> views;
    for (const Array& array : arrays) views.push_back(rows(array, first, count));
    return views;
}

// Raise unless *splits* add up to the rows of every input.
void check_splits(const std::vector<Array>& inputs, const std::vector<std::int64_t>& splits) {
    std::int64_t total = 0;
    for (std::int64_t count : splits) {
        if (count < 0 || __builtin_add_overflow(total, count, &total)) {
            throw Error("BadSplits", "a batch is negative or too large");
        }
    }
    for (const Array& input : inputs) {
        if (input.shape.empty() || input.shape.front() != total) {
            throw Error("BadSplits", "the batches have " + std::to_string(total) +
                                         " rows together, and an input has not");
        }
    }
}

// Call until there are enough samples: seconds of every call, in order, warm-up included, and of
// all of it; what is more than their sum was lost between them.
nlohmann::json sampled(Model& model, const std::vector<View>& batch, const Sampling& sampling) {
    std::vector<double> samples;
    const auto least = static_cast<std::size_t>(sampling.warmup + sampling.samples);
    const double began = now_s();
    double stop = began;
    const auto fewest = static_cast<std::size_t>(sampling.warmup + 3);
    while (samples.size() < (stop - began < sampling.max_s ? least : fewest) ||
           stop - began < sampling.min_s) {
        const double start = now_s();
        model.answer(batch);
        stop = now_s();
        samples.push_back(stop - start);
    }
    return {{"latency_s", samples}, {"warmup", sampling.warmup}, {"wall_s", stop - began}};
}

}  // namespace

void Session::run(const std::string& phase, nlohmann::json& data) {
    if (phase == "startup") return startup(data);
    if (phase == "infer") return infer(data);
    throw Unsupported("this runner serves artifacts and has no phase " + phase);
}

void Session::startup(nlohmann::json& data) {
    Model& loaded = model();
    data["build_s"] = load_s_;
    inputs();  // read outside the clock
    // Without splits the inputs need not have rows in common.
    if (job_.splits) {
        const auto first = rows_of(inputs(), 0, 1);
        data["first_forward_s"] = timed([&] { loaded.answer(first); });
    } else {
        data["first_forward_s"] = timed([&] { first_answers(); });
    }
    data["answered_at"] = since_1970_s();
}

void Session::infer(nlohmann::json& data) {
    model();
    data["load_s"] = load_s_;
    const std::vector<Array> answers = first_answers();
    data["outputs"] = model().outputs();
    const std::string folder = job_.directory + "/outputs";
    std::filesystem::create_directories(folder);
    for (std::size_t i = 0; i < answers.size(); ++i) {
        write_npy(folder + "/" + std::to_string(i) + ".npy", answers[i]);
    }
    const auto is_repeated = [&](const std::vector<Array>& others) {
        return std::equal(answers.begin(), answers.end(), others.begin(), others.end(), identical);
    };
    data["repeatable"] = is_repeated(answer_all());
    if (!data["repeatable"] && !job_.splits) {
        model_.reset();
        first_.reset();
        data["stateful"] = is_repeated(first_answers());
    }
    Model& loaded = model();

    data["batches"] = nlohmann::json::object();
    const double busy = busy_s(), began = now_s();
    for (std::int64_t size : job_.infer.batches) {
        std::vector<Array> batch;
        for (const Array& input : inputs()) {
            batch.push_back(job_.splits ? take(input, size) : input);
        }
        data["batches"][std::to_string(size)] = sampled(loaded, all(batch), job_.infer);
    }
    data["cpu_share"] = (busy_s() - busy) / (now_s() - began);
    if (job_.generation) data["generation"] = generate(loaded, job_);
}

Model& Session::model() {
    if (!model_) {
        std::vector<std::string> names;
        for (const Input& input : job_.inputs) names.push_back(input.name);
        load_s_ = timed([&] { model_ = runtime_.load(job_.format, job_.model, names); });
    }
    return *model_;
}

const std::vector<Array>& Session::inputs() {
    if (!inputs_) {
        std::vector<Array> arrays;
        for (const Input& input : job_.inputs) arrays.push_back(read_npy(input.path));
        if (job_.splits) check_splits(arrays, *job_.splits);
        inputs_ = std::move(arrays);
    }
    return *inputs_;
}

const std::vector<Array>& Session::first_answers() {
    if (!first_) first_ = answer_all();
    return *first_;
}

std::vector<Array> Session::answer_all() {
    std::vector<Array> answers;
    const auto keep = [&](const std::vector<View>& batch) {
        const auto views = model().answer(batch);
        for (std::size_t i = 0; i < views.size(); ++i) {
            const View& output = views[i];
            if (answers.size() <= i) {
                answers.push_back(
                    {output.dtype, output.shape, {output.data, output.data + output.size}});
            } else {
                append(answers[i], output);
            }
        }
    };
    if (!job_.splits) {
        keep(all(inputs()));
        return answers;
    }
    std::int64_t first = 0;
    for (std::int64_t count : *job_.splits) {
        keep(rows_of(inputs(), first, count));
        first += count;
    }
    return answers;
}

}  // namespace deepmatrix
