// kernels/replacement.cpp: everything is done relative to the opened directory, so that neither a
// rename of it nor another thread's chdir can lead astray.
#include "kernels/replacement.hpp"

#include <fcntl.h>
#include <stdlib.h>
#include <sys/random.h>

#include <cerrno>
#include <climits>
#include <cstdint>
#include <cstdio>
#include <utility>

#include "kernels/file_reader.hpp"
#include "kernels/printable.hpp"

namespace gilpool::kernels {

namespace {

/// As many links as Linux follows before it says ELOOP.
constexpr int kMaxLinks = 40;
/// Of the target's name, so that the temporary one is not too long for any file system.
constexpr std::size_t kNameKept = 200;

#if defined(O_PATH)
constexpr int kDirectoryFlags = O_PATH | O_DIRECTORY | O_CLOEXEC;
#else
constexpr int kDirectoryFlags = O_RDONLY | O_DIRECTORY | O_CLOEXEC;
#endif

std::string directory_of(const std::string& path) {
    const std::size_t slash = path.rfind('/');
    return slash == std::string::npos ? std::string() : path.substr(0, slash + 1);
}

std::uint64_t random_number() noexcept {
    std::uint64_t number = 0;
    if (::getentropy(&number, sizeof number) != 0)
        number = reinterpret_cast<std::uintptr_t>(&number);
    return number;
}

}  // namespace

Result<Replacement> Replacement::begin(const Path& target) {
    if (Result<Done> fit = check(target); !fit.ok()) return fit.error();
    Replacement made;
    made.target_ = target;
    if (Result<Done> done = made.locate(target); !done.ok()) return done.error();
    if (Result<Done> done = made.examine(); !done.ok()) return done.error();
    if (Result<Done> done = made.create(); !done.ok()) return done.error();
    return made;
}

Replacement::~Replacement() {
    if (directory_ && !temporary_.empty()) ::unlinkat(directory_.number(), temporary_.c_str(), 0);
}

/// Finds the directory and name of the file that a write to `target` would change.
Result<Done> Replacement::locate(const Path& target) {
    std::string path = target.native;
    for (int links = 0;; ++links) {
        char destination[PATH_MAX];
        const ssize_t length = ::readlink(path.c_str(), destination, sizeof destination);
        if (length < 0) break;  // not a link; what else is wrong shows when it is used
        if (links == kMaxLinks || length == static_cast<ssize_t>(sizeof destination)) {
            errno = links == kMaxLinks ? ELOOP : ENAMETOOLONG;
            return system_error(target);
        }
        std::string next(destination, static_cast<std::size_t>(length));
        path = next.starts_with('/') ? next : directory_of(path) + next;
    }
    const std::string directory = directory_of(path);
    name_ = path.substr(directory.size());
    if (name_.empty()) {
        errno = path.empty() ? ENOENT : EISDIR;
        return system_error(target);
    }
    directory_ = Descriptor(::open(directory.empty() ? "." : directory.c_str(), kDirectoryFlags));
    if (!directory_) return system_error(target);
    return Done{};
}

/// Refuses what a plain write would refuse too, and what is no file to be replaced.
Result<Done> Replacement::examine() {
    struct stat status;
    if (::fstatat(directory_.number(), name_.c_str(), &status, AT_SYMLINK_NOFOLLOW) != 0) {
        if (errno == ENOENT) return Done{};
        return system_error(target_);
    }
    if (S_ISDIR(status.st_mode)) {
        errno = EISDIR;
        return system_error(target_);
    }
    if (!S_ISREG(status.st_mode)) {
        return Error{ErrorKind::value, 0, "not a regular file: " + printable(target_.native)};
    }
    if (::faccessat(directory_.number(), name_.c_str(), W_OK, AT_EACCESS) != 0) {
        return system_error(target_);
    }
    replaced_ = status;
    mode_ = status.st_mode & 07777;
    return Done{};
}

Result<Done> Replacement::create() {
    // Nobody else reads it before it has the mode of the file it replaces.
    const mode_t mode = replaced_ ? 0600 : 0666;
    for (int attempt = 0;; ++attempt) {
        char suffix[32];
        std::snprintf(suffix, sizeof suffix, ".%016llx.tmp",
                      static_cast<unsigned long long>(random_number()));
        std::string temporary(".");
        temporary.append(name_, 0, kNameKept).append(suffix);
        file_ = Descriptor(::openat(directory_.number(), temporary.c_str(),
                                    O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, mode));
        if (file_) {
            temporary_ = std::move(temporary);
            return Done{};
        }
        if ((errno != EEXIST && errno != EINTR) || attempt == 100) return system_error(target_);
    }
}

/// Owner first: changing it clears the bits of the mode that would lend the new owner's rights.
Result<Done> Replacement::dress() {
    if (replaced_) {
        struct stat status;
        if (::fstat(file_.number(), &status) != 0) return system_error(target_);
        const bool foreign =
            status.st_uid != replaced_->st_uid || status.st_gid != replaced_->st_gid;
        if (foreign && ::fchown(file_.number(), replaced_->st_uid, replaced_->st_gid) != 0) {
            *mode_ &= ~static_cast<mode_t>(S_ISUID | S_ISGID);
        }
    }
    if (mode_ && ::fchmod(file_.number(), *mode_) != 0) return system_error(target_);
    return Done{};
}

Result<Done> Replacement::commit(bool sync) {
    if (Result<Done> dressed = dress(); !dressed.ok()) return dressed;
    if (sync && ::fsync(file_.number()) != 0) return system_error(target_);
    // Some file systems say only here that there was no room. EINTR: closed all the same.
    if (file_.close() != 0 && errno != EINTR) return system_error(target_);
    const int directory = directory_.number();
    if (::renameat(directory, temporary_.c_str(), directory, name_.c_str()) != 0) {
        return system_error(target_);
    }
    temporary_.clear();
    if (sync) {
        const Descriptor readable(::openat(directory, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC));
        if (!readable || ::fsync(readable.number()) != 0) return system_error(target_);
    }
    return Done{};
}

}  // namespace gilpool::kernels
