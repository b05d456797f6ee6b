// What a model answers, as named arrays: text, sequences and maps as `harness/graphs/values.py`
// does.
#pragma once

#include <deque>
#include <string>
#include <vector>

#include "array.hpp"
#include "onnxruntime/api.hpp"

namespace deepmatrix {

// The arrays of one answer; it owns what they look at.
class Answers {
  public:
    // Take the value of an output.
    void add(const std::string& name, Ort::Value value);

    const std::vector<std::string>& names() const { return names_; }
    const std::vector<View>& views() const { return views_; }

  private:
    void add_tensor(const std::string& name, Ort::Value value);
    void add_sequence(const std::string& name, const Ort::Value& value);
    void add_maps(const std::string& name, std::vector<Ort::Value> maps, bool in_sequence);
    void add_array(const std::string& name, Array array);

    std::vector<std::string> names_;
    std::vector<View> views_;
    std::vector<Ort::Value> values_;
    std::deque<Array> arrays_;  // which never move
};

// Return an input as the runtime's value of the type that the model declares.
//
// Numbers stay where they are; texts are copied, and bfloat16, which comes as float32.
Ort::Value input_value(const View& input, ONNXTensorElementDataType declared);

}  // namespace deepmatrix
