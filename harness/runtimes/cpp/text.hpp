// Texts: numpy's fixed rows of UCS-4 letters, and the UTF-8 of everybody else.
#pragma once

#include <string>
#include <vector>

#include "array.hpp"

namespace deepmatrix {

// Return the texts of an array of them, in UTF-8. Throws Error ("BadArray") for invalid Unicode.
std::vector<std::string> texts_of(const View& array);

// Return an array of texts in UTF-8; invalid UTF-8 becomes a replacement character.
Array text_array(const std::vector<std::string>& texts, Shape shape);

}  // namespace deepmatrix
