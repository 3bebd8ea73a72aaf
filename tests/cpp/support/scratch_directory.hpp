// tests/cpp/support/scratch_directory.hpp: a directory of a test's own.
#pragma once

#include <stdlib.h>

#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>

#include "kernels/path.hpp"

namespace gilpool::test {

/// Made new and removed with all that is in it.
class ScratchDirectory {
  public:
    ScratchDirectory() {
        std::string name = (std::filesystem::temp_directory_path() / "gilpool-XXXXXX").string();
        if (::mkdtemp(name.data()) == nullptr) throw std::runtime_error("mkdtemp: " + name);
        root_ = name;
    }
    ~ScratchDirectory() {
        std::error_code ignored;
        std::filesystem::remove_all(root_, ignored);
    }
    ScratchDirectory(const ScratchDirectory&) = delete;
    ScratchDirectory& operator=(const ScratchDirectory&) = delete;

    kernels::Path operator/(const std::string& name) const { return {(root_ / name).string()}; }

    kernels::Path put(const std::string& name, const std::string& content) const {
        kernels::Path path = *this / name;
        std::ofstream(path.native, std::ios::binary) << content;
        return path;
    }

    std::size_t entries() const {
        return static_cast<std::size_t>(std::distance(std::filesystem::directory_iterator(root_),
                                                      std::filesystem::directory_iterator()));
    }

  private:
    std::filesystem::path root_;
};

inline std::string content_of(const kernels::Path& path) {
    std::ifstream file(path.native, std::ios::binary);
    return {std::istreambuf_iterator<char>(file), {}};
}

}  // namespace gilpool::test
