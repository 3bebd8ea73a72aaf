// kernels/file_reader.cpp: open(2) that never waits, poll(2) where a read could.
#include "kernels/file_reader.hpp"

#include <fcntl.h>
#include <poll.h>

#include <algorithm>
#include <cerrno>

namespace gilpool::kernels {

Error system_error(const Path& path) {
    return Error{ErrorKind::os, errno, path.native};
}

Result<Done> check(const Path& path) {
    if (path.native.find('\0') != std::string::npos) {
        return Error{ErrorKind::value, 0, "embedded null byte"};
    }
    return Done{};
}

namespace {

int open_retrying(const Path& path, int flags) {
    int number;
    do {
        number = ::open(path.native.c_str(), O_RDONLY | O_CLOEXEC | O_NOCTTY | flags);
    } while (number < 0 && errno == EINTR);
    return number;
}

}  // namespace

Result<FileReader> FileReader::open(const Path& path) {
    if (Result<Done> fit = check(path); !fit.ok()) return fit.error();
    // O_NONBLOCK: opening a FIFO must not wait for its writer. It changes nothing for regular
    // files, except that one leased to another process is refused at once, so that is asked for
    // again.
    Descriptor descriptor(open_retrying(path, O_NONBLOCK));
    if (!descriptor && errno == EWOULDBLOCK) descriptor = Descriptor(open_retrying(path, 0));
    if (!descriptor) return system_error(path);
    struct stat status;
    if (::fstat(descriptor.number(), &status) != 0) return system_error(path);
    return FileReader(path, std::move(descriptor), status);
}

Result<std::size_t> FileReader::read(std::span<std::byte> space, Stop stop) {
    const std::size_t wanted = std::min(space.size(), kPiece);
    const bool regular = S_ISREG(status_.st_mode);
    while (!at_end_) {
        if (stop.requested()) return Error{ErrorKind::stopped};
        if (!regular) {
            if (Result<Done> ready = wait_readable(stop); !ready.ok()) return ready.error();
        }
        const ssize_t got = ::read(descriptor_.number(), space.data(), wanted);
        if (got >= 0) {
            position_ += got;
            // Either alone may be wrong: /proc knows no sizes, and FUSE may give less than it has.
            at_end_ =
                regular && static_cast<std::size_t>(got) < wanted && position_ == status_.st_size;
            return static_cast<std::size_t>(got);
        }
        if (errno != EINTR && errno != EAGAIN) return system_error(*path_);
    }
    return std::size_t{0};
}

Result<Done> FileReader::wait_readable(Stop stop) {
    while (true) {
        pollfd watched{descriptor_.number(), POLLIN, 0};
        const int ready = ::poll(&watched, 1, kPatienceMs);
        if (ready > 0) return Done{};
        if (ready < 0 && errno != EINTR) return system_error(*path_);
        if (stop.requested()) return Error{ErrorKind::stopped};
    }
}

}  // namespace gilpool::kernels
