// bindings/witness_wakes.cpp: reads the status file of a thread in procfs.
#include "bindings/witness_wakes.hpp"

#include <fcntl.h>
#include <unistd.h>

#include <array>
#include <charconv>
#include <cstdio>
#include <string_view>

namespace gilpool::bindings {

namespace {

/// What follows `key` in the text, or nothing.
std::optional<std::string_view> after(std::string_view text, std::string_view key) {
    const auto at = text.find(key);
    if (at == std::string_view::npos) {
        return std::nullopt;
    }
    return text.substr(at + key.size());
}

}  // namespace

bool WakeWatch::open(pid_t thread) {
    close();
#ifdef __linux__
    std::array<char, 64> path{};
    std::snprintf(path.data(), path.size(), "/proc/self/task/%d/status", static_cast<int>(thread));
    fd_ = ::open(path.data(), O_RDONLY | O_CLOEXEC);
    if (fd_ >= 0 && !look()) {
        close();
    }
#else
    (void)thread;
#endif
    return can_tell();
}

void WakeWatch::close() {
    if (fd_ >= 0) {
        ::close(fd_);
        fd_ = -1;
    }
}

std::optional<WakeWatch::Look> WakeWatch::look() const {
    std::array<char, 8192> buffer;
    const ssize_t length = ::pread(fd_, buffer.data(), buffer.size(), 0);
    if (length <= 0) {
        return std::nullopt;
    }
    const std::string_view text(buffer.data(), static_cast<std::size_t>(length));
    const auto state = after(text, "\nState:\t");
    const auto waits = after(text, "\nvoluntary_ctxt_switches:\t");
    if (!state || state->empty() || !waits) {
        return std::nullopt;
    }
    Look look;
    look.asleep = state->front() == 'S';
    const auto parsed = std::from_chars(waits->data(), waits->data() + waits->size(), look.waits);
    if (parsed.ec != std::errc{}) {
        return std::nullopt;
    }
    return look;
}

}  // namespace gilpool::bindings
