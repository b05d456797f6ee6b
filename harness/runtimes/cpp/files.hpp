// Files that a reader sees whole or not at all.
#pragma once

#include <initializer_list>
#include <string>
#include <string_view>

namespace deepmatrix {

// Write *parts*, one after another, under a temporary name, and rename the file. Throws NoRoom
// where the disk is full, and Error ("CannotWrite").
void write_whole(const std::string& path, std::initializer_list<std::string_view> parts);

}  // namespace deepmatrix
