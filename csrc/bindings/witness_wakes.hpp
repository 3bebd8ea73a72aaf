// bindings/witness_wakes.hpp: whether a sleeping thread has been woken meanwhile, as the kernel
// tells it. Linux with procfs; elsewhere it says that it cannot tell. One thread at a time.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <optional>

namespace gilpool::bindings {

class WakeWatch {
  public:
    WakeWatch() = default;
    ~WakeWatch() { close(); }
    WakeWatch(const WakeWatch&) = delete;
    WakeWatch& operator=(const WakeWatch&) = delete;

    /// Looks at this thread of the process from now on; false where that cannot be done.
    bool open(pid_t thread);
    void close();
    bool can_tell() const { return fd_ >= 0; }

    struct Look {
        bool asleep = false;      ///< it waits for something
        std::uint64_t waits = 0;  ///< how often it has begun to
    };
    /// Reads the thread's state, about 10 us; nothing if that failed.
    std::optional<Look> look() const;

  private:
    int fd_ = -1;
};

}  // namespace gilpool::bindings
