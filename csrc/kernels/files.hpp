// kernels/files.hpp: whole files read, written, copied and examined, alone and in batches. Any
// thread.
#pragma once

#include <cstdint>
#include <span>

#include "kernels/bytes.hpp"
#include "kernels/path.hpp"
#include "kernels/progress.hpp"
#include "kernels/result.hpp"
#include "kernels/stop.hpp"

namespace gilpool::kernels {

/// What os.stat_result holds; times in nanoseconds since the epoch.
struct FileStatus {
    std::uint64_t mode;
    std::uint64_t inode;
    std::uint64_t device;
    std::uint64_t links;
    std::uint64_t user;
    std::uint64_t group;
    std::int64_t size;
    std::int64_t accessed_ns;
    std::int64_t modified_ns;
    std::int64_t changed_ns;
    std::int64_t block_size;
    std::int64_t blocks;  ///< of 512 bytes, whatever the block size
    std::uint64_t special_device;
};

/// All that can be read from `path`: of files that do not know their size (/proc), and of FIFOs and
/// devices until their end, too. A directory is EISDIR.
Result<Bytes> read_file(const Path& path, Stop stop) noexcept;

/// Makes `data` the content of `path`, or leaves everything as it was: readers see the old content
/// or the new, and no temporary file stays after an error or a stop. See Replacement for links,
/// modes and owners; a device or FIFO is a value error. With `sync`, it has reached the disk when
/// this returns. The result is the number of bytes.
Result<std::uint64_t> write_file(const Path& path, BytesView data, bool sync, Stop stop) noexcept;

/// Makes `target` a copy of the regular file `source`, mode included, in the way of write_file. The
/// system copies (and shares blocks where it can). Both naming one file is a value error.
Result<std::uint64_t> copy_file(const Path& source, const Path& target, Stop stop) noexcept;

/// The status of `path`; of a symbolic link itself unless `follow_symlinks`.
Result<FileStatus> stat_file(const Path& path, bool follow_symlinks, Stop stop) noexcept;

/// read_file of each path, at its place in `contents`, which is as long. What cannot be read leaves
/// its error there. An error returned is one of the whole batch; places not reached are unchanged.
Result<Done> read_files(std::span<const Path> paths, std::span<Result<Bytes>> contents,
                        Progress& progress, Stop stop) noexcept;

/// stat_file of each path, in the same way.
Result<Done> stat_many(std::span<const Path> paths, bool follow_symlinks,
                       std::span<Result<FileStatus>> statuses, Progress& progress,
                       Stop stop) noexcept;

}  // namespace gilpool::kernels
