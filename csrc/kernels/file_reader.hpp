// kernels/file_reader.hpp: reads any file piece by piece and hears a stop meanwhile. Any thread,
// one at a time.
#pragma once

#include <sys/stat.h>

#include <cstddef>
#include <span>

#include "kernels/descriptor.hpp"
#include "kernels/path.hpp"
#include "kernels/result.hpp"
#include "kernels/stop.hpp"

namespace gilpool::kernels {

/// The error of a system call that has just failed on `path`.
Error system_error(const Path& path);

/// An error if the system could not be told this path: one with a NUL inside.
Result<Done> check(const Path& path);

/// Regular files, and those of /proc, FIFOs and devices: for these a read waits until there is
/// something or the other side has closed, and a stop ends the wait within `kPatience`.
class FileReader {
  public:
    static constexpr int kPatienceMs = 20;
    /// A disk gives as much in some 10 ms.
    static constexpr std::size_t kPiece = std::size_t{1} << 20;

    static Result<FileReader> open(const Path& path);

    /// Fills at most `space`, at most `kPiece` bytes; 0 at the end of the file. That costs no
    /// system call when the read before was short and came to the size the file had when it was
    /// opened.
    Result<std::size_t> read(std::span<std::byte> space, Stop stop);

    const struct stat& status() const noexcept { return status_; }
    int descriptor() const noexcept { return descriptor_.number(); }

  private:
    FileReader(const Path& path, Descriptor descriptor, const struct stat& status)
        : path_(&path), descriptor_(std::move(descriptor)), status_(status) {}

    Result<Done> wait_readable(Stop stop);

    const Path* path_;
    Descriptor descriptor_;
    struct stat status_;
    off_t position_ = 0;
    bool at_end_ = false;
};

}  // namespace gilpool::kernels
