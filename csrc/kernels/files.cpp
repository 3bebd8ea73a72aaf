// kernels/files.cpp: plain system calls in pieces, so that a stop is heard between them.
#include "kernels/files.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>

#include "kernels/file_reader.hpp"
#include "kernels/guarded.hpp"
#include "kernels/printable.hpp"
#include "kernels/replacement.hpp"

namespace gilpool::kernels {

namespace {

constexpr std::size_t kPiece = FileReader::kPiece;
/// First room for a file that does not tell its size.
constexpr std::size_t kUnknownSize = 4096;

Result<Done> write_all(int descriptor, BytesView data, const Path& path, Stop stop) {
    while (!data.empty()) {
        if (stop.requested()) return Error{ErrorKind::stopped};
        const ssize_t written = ::write(descriptor, data.data(), std::min(data.size(), kPiece));
        if (written >= 0) {
            data = data.subspan(static_cast<std::size_t>(written));
        } else if (errno != EINTR) {
            return system_error(path);
        }
    }
    return Done{};
}

Result<Bytes> read_all(const Path& path, Stop stop) {
    Result<FileReader> file = FileReader::open(path);
    if (!file.ok()) return file.error();
    const struct stat& status = file.value().status();
    // One byte more than the size: so the read that finds the end needs no growth.
    const bool sized = S_ISREG(status.st_mode) && status.st_size > 0;
    Bytes content(sized ? static_cast<std::size_t>(status.st_size) + 1 : kUnknownSize);
    std::size_t size = 0;
    while (true) {
        if (size == content.size()) content.resize(2 * size);
        const Result<std::size_t> got = file.value().read(std::span(content).subspan(size), stop);
        if (!got.ok()) return got.error();
        if (got.value() == 0) break;
        size += got.value();
    }
    content.resize(size);
    return content;
}

Result<std::uint64_t> write_new(const Path& path, BytesView data, bool sync, Stop stop) {
    Result<Replacement> file = Replacement::begin(path);
    if (!file.ok()) return file.error();
    if (Result<Done> written = write_all(file.value().descriptor(), data, path, stop);
        !written.ok()) {
        return written.error();
    }
    if (Result<Done> done = file.value().commit(sync); !done.ok()) return done.error();
    return std::uint64_t{data.size()};
}

/// Copies through memory what `source` has left.
Result<std::uint64_t> copy_rest(FileReader& source, int target, const Path& target_path,
                                Stop stop) {
    Bytes buffer(kPiece);
    std::uint64_t copied = 0;
    while (true) {
        const Result<std::size_t> got = source.read(buffer, stop);
        if (!got.ok()) return got.error();
        if (got.value() == 0) return copied;
        const BytesView piece(buffer.data(), got.value());
        if (Result<Done> written = write_all(target, piece, target_path, stop); !written.ok()) {
            return written.error();
        }
        copied += got.value();
    }
}

/// Lets the system copy as long as it can and will; the number of bytes it did.
Result<std::uint64_t> copy_in_system([[maybe_unused]] FileReader& source,
                                     [[maybe_unused]] int target, [[maybe_unused]] Stop stop) {
    std::uint64_t copied = 0;
#if defined(__linux__)
    constexpr std::size_t kSystemPiece = 8 * kPiece;
    while (true) {
        if (stop.requested()) return Error{ErrorKind::stopped};
        const ssize_t got =
            ::copy_file_range(source.descriptor(), nullptr, target, nullptr, kSystemPiece, 0);
        if (got > 0) {
            copied += static_cast<std::uint64_t>(got);
        } else if (got == 0 || errno != EINTR) {
            // The end, or not between these file systems, or not in this sandbox. A real error of
            // the disk meets the copy through memory again, and is reported from there.
            break;
        }
    }
#endif
    return copied;
}

Result<std::uint64_t> copy_new(const Path& source_path, const Path& target_path, Stop stop) {
    Result<FileReader> source = FileReader::open(source_path);
    if (!source.ok()) return source.error();
    const struct stat& status = source.value().status();
    if (S_ISDIR(status.st_mode)) return Error{ErrorKind::os, EISDIR, source_path.native};
    if (!S_ISREG(status.st_mode)) {
        return Error{ErrorKind::value, 0, "not a regular file: " + printable(source_path.native)};
    }
    Result<Replacement> target = Replacement::begin(target_path);
    if (!target.ok()) return target.error();
    if (const auto& replaced = target.value().replaced();
        replaced && replaced->st_dev == status.st_dev && replaced->st_ino == status.st_ino) {
        return Error{ErrorKind::value, 0,
                     printable(source_path.native) + " and " + printable(target_path.native) +
                         " are the same file"};
    }
    target.value().set_mode(status.st_mode & 07777);
    const int descriptor = target.value().descriptor();
    const Result<std::uint64_t> first = copy_in_system(source.value(), descriptor, stop);
    if (!first.ok()) return first.error();
    const Result<std::uint64_t> rest = copy_rest(source.value(), descriptor, target_path, stop);
    if (!rest.ok()) return rest.error();
    if (Result<Done> done = target.value().commit(false); !done.ok()) return done.error();
    return first.value() + rest.value();
}

#if defined(__APPLE__)
#define GILPOOL_STAT_TIME(status, which) (status).st_##which##timespec
#else
#define GILPOOL_STAT_TIME(status, which) (status).st_##which##tim
#endif

std::int64_t nanoseconds(const timespec& time) noexcept {
    return std::int64_t{time.tv_sec} * 1'000'000'000 + time.tv_nsec;
}

Result<FileStatus> status_of(const Path& path, bool follow_symlinks) {
    if (Result<Done> fit = check(path); !fit.ok()) return fit.error();
    struct stat status;
    const int flags = follow_symlinks ? 0 : AT_SYMLINK_NOFOLLOW;
    if (::fstatat(AT_FDCWD, path.native.c_str(), &status, flags) != 0) return system_error(path);
    return FileStatus{
        .mode = status.st_mode,
        .inode = status.st_ino,
        .device = status.st_dev,
        .links = status.st_nlink,
        .user = status.st_uid,
        .group = status.st_gid,
        .size = status.st_size,
        .accessed_ns = nanoseconds(GILPOOL_STAT_TIME(status, a)),
        .modified_ns = nanoseconds(GILPOOL_STAT_TIME(status, m)),
        .changed_ns = nanoseconds(GILPOOL_STAT_TIME(status, c)),
        .block_size = status.st_blksize,
        .blocks = status.st_blocks,
        .special_device = status.st_rdev,
    };
}

/// `work(path)` of each path to its place, each with its own boundary for errors.
template <class T, class Work>
Result<Done> each(std::span<const Path> paths, std::span<Result<T>> results, Progress& progress,
                  Stop stop, Work work) noexcept {
    for (std::size_t i = 0; i < paths.size(); ++i) {
        if (stop.requested()) return Error{ErrorKind::stopped};
        Result<T> result = work(paths[i]);
        if (!result.ok() && result.error().kind == ErrorKind::stopped) return result.error();
        results[i] = std::move(result);
        progress.finish();
    }
    return Done{};
}

}  // namespace

Result<Bytes> read_file(const Path& path, Stop stop) noexcept {
    return guarded([&] { return read_all(path, stop); });
}

Result<std::uint64_t> write_file(const Path& path, BytesView data, bool sync, Stop stop) noexcept {
    return guarded([&] { return write_new(path, data, sync, stop); });
}

Result<std::uint64_t> copy_file(const Path& source, const Path& target, Stop stop) noexcept {
    return guarded([&] { return copy_new(source, target, stop); });
}

Result<FileStatus> stat_file(const Path& path, bool follow_symlinks, Stop stop) noexcept {
    return guarded([&]() -> Result<FileStatus> {
        if (stop.requested()) return Error{ErrorKind::stopped};
        return status_of(path, follow_symlinks);
    });
}

Result<Done> read_files(std::span<const Path> paths, std::span<Result<Bytes>> contents,
                        Progress& progress, Stop stop) noexcept {
    return each(paths, contents, progress, stop,
                [&](const Path& path) noexcept { return read_file(path, stop); });
}

Result<Done> stat_many(std::span<const Path> paths, bool follow_symlinks,
                       std::span<Result<FileStatus>> statuses, Progress& progress,
                       Stop stop) noexcept {
    return each(paths, statuses, progress, stop,
                [&](const Path& path) noexcept { return stat_file(path, follow_symlinks, stop); });
}

}  // namespace gilpool::kernels
