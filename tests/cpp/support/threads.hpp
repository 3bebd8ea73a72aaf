// What the kernel says about this process's threads.
// Any thread may ask.
#pragma once

#include <filesystem>
#include <fstream>
#include <sstream>
#include <string>
#include <system_error>

namespace gilpool::testing {

/// How many threads the kernel counts, as Python 3.12+ asks before it warns of a fork.
inline int thread_count() {
    std::ifstream file("/proc/self/stat");
    std::string text;
    std::getline(file, text);
    // After the name in brackets follow the 3rd and later fields; the 20th is the number of
    // threads.
    std::istringstream fields(text.substr(text.rfind(')') + 1));
    std::string field;
    for (int number = 3; number <= 20; ++number) {
        fields >> field;
    }
    return std::stoi(field);
}

/// Whether a thread of that name exists.
inline bool thread_exists(const std::string& name) {
    std::error_code vanished;
    for (const auto& task : std::filesystem::directory_iterator("/proc/self/task", vanished)) {
        std::ifstream file(task.path() / "comm");
        std::string found;
        if (std::getline(file, found) && found == name) {
            return true;
        }
    }
    return false;
}

}  // namespace gilpool::testing
