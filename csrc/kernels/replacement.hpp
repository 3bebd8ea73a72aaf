// kernels/replacement.hpp: new content for a path, all of it or nothing. Any thread, one at a time.
#pragma once

#include <sys/stat.h>

#include <optional>
#include <string>

#include "kernels/descriptor.hpp"
#include "kernels/path.hpp"
#include "kernels/result.hpp"

namespace gilpool::kernels {

/// A temporary file in the directory of its target. `commit` renames it, so that others see the old
/// content or the new one, never a part; dropped uncommitted, it is removed.
///
/// A symbolic link is followed: the file it names is replaced, or made. Of a file that exists, mode
/// and, where the system lets us, owner and group are kept; it has to be a regular file that this
/// process may write. Its other names (hard links) keep the old content.
class Replacement {
  public:
    static Result<Replacement> begin(const Path& target);

    Replacement(Replacement&&) noexcept = default;
    ~Replacement();

    int descriptor() const noexcept { return file_.number(); }

    /// What stands at the target now; none if nothing does.
    const std::optional<struct stat>& replaced() const noexcept { return replaced_; }

    /// Gives the new file this mode instead of the one it would have.
    void set_mode(mode_t mode) noexcept { mode_ = mode; }

    /// Makes the new content visible; with `sync`, only after it has reached the disk, and returns
    /// when the new name has too.
    Result<Done> commit(bool sync);

  private:
    Replacement() = default;

    Result<Done> locate(const Path& target);
    Result<Done> examine();
    Result<Done> create();
    Result<Done> dress();

    Path target_;            ///< as the caller named it, for errors
    std::string name_;       ///< of the target in its directory
    std::string temporary_;  ///< of the temporary file there; empty when there is none
    Descriptor directory_;
    Descriptor file_;
    std::optional<struct stat> replaced_;
    std::optional<mode_t> mode_;
};

}  // namespace gilpool::kernels
