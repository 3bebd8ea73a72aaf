// kernels/path.hpp: the name of a file as the system knows it. Plain data, any thread.
#pragma once

#include <string>

namespace gilpool::kernels {

/// The bytes that go into a system call, not yet judged: it may be empty or hold a NUL.
struct Path {
    std::string native;
};

}  // namespace gilpool::kernels
