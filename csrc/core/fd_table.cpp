// Who waits for which descriptor, kept in step with what the poller watches.
// Not thread-safe: the reactor's mutex guards every call.
#include "core/fd_table.hpp"

#include <fcntl.h>

#include <algorithm>
#include <cerrno>
#include <new>
#include <utility>

namespace gilpool::core {
namespace {

ArmResult to_result(int error) noexcept {
    switch (error) {
        case 0:
            return ArmResult::armed;
        case EBADF:
            return ArmResult::bad_descriptor;
        case EPERM:   // regular files and directories
        case EINVAL:  // the poller itself
        case ELOOP:   // a queue that watches this one
            return ArmResult::not_pollable;
        default:
            return ArmResult::no_resources;
    }
}

}  // namespace

ArmResult FdTable::add(FdWait& wait, Pair& gone) noexcept {
    const int fd = wait.fd();
    // Asked first, as a number that is not open may be too large to make room for.
    if (fd < 0 || ::fcntl(fd, F_GETFD) < 0) {
        if (fd >= 0 && static_cast<std::size_t>(fd) < slots_.size()) {
            gone = abandon(slots_[fd]);
        }
        return ArmResult::bad_descriptor;
    }
    if (!make_room_for(fd)) {
        return ArmResult::no_resources;
    }
    Slot& slot = slots_[fd];
    FdWait*& place = place_for(slot, wait);
    if (slot.watched) {
        Readiness wanted = interest(slot);
        (wait.direction() == Direction::read ? wanted.readable : wanted.writable) = true;
        // Asked even if the place is taken: only this tells whether its holder waits for a file
        // that has gone. If not, the request repeats what is asked for already.
        const int error = poller_.rewatch(fd, wanted, tag(fd, slot));
        if (error == 0) {
            if (place != nullptr) {
                return ArmResult::busy;
            }
            place = &wait;
            ++size_;
            return ArmResult::armed;
        }
        if (error != ENOENT && error != EBADF) {
            return to_result(error);
        }
        gone = abandon(slot);
    }
    return watch_new_file(fd, slot, wait);
}

ArmResult FdTable::watch_new_file(int fd, Slot& slot, FdWait& wait) noexcept {
    const bool reads = wait.direction() == Direction::read;
    const Readiness wanted{reads, !reads};
    int error = poller_.watch(fd, wanted, tag(fd, slot));
    if (error == EEXIST) {
        // A file that was in the set under this number before has come back to it (dup2).
        error = poller_.rewatch(fd, wanted, tag(fd, slot));
    }
    if (error == 0) {
        slot.watched = true;
        place_for(slot, wait) = &wait;
        ++size_;
    }
    return to_result(error);
}

void FdTable::remove(FdWait& wait) noexcept {
    take(place_for(slots_[wait.fd()], wait));
}

FdTable::Pair FdTable::on_event(const ReadyEvent& event, Pair& gone) noexcept {
    const auto fd = static_cast<std::uint32_t>(event.tag);
    Pair ready;
    if (fd >= slots_.size() || tag(static_cast<int>(fd), slots_[fd]) != event.tag) {
        return ready;
    }
    Slot& slot = slots_[fd];
    if (event.ready.readable) {
        ready.reader = take(slot.waits.reader);
    }
    if (event.ready.writable) {
        ready.writer = take(slot.waits.writer);
    }
    // The event has silenced the descriptor altogether; who still waits needs it watched.
    const Readiness left = interest(slot);
    if ((left.readable || left.writable) &&
        poller_.rewatch(static_cast<int>(fd), left, event.tag) != 0) {
        gone = abandon(slot);
    }
    return ready;
}

FdTable::Pair FdTable::forget(int fd) noexcept {
    if (fd < 0 || static_cast<std::size_t>(fd) >= slots_.size() || !slots_[fd].watched) {
        return {};
    }
    poller_.unwatch(fd);
    return abandon(slots_[fd]);
}

void FdTable::restart() noexcept {
    slots_.clear();
}

Readiness FdTable::interest(const Slot& slot) noexcept {
    return {slot.waits.reader != nullptr, slot.waits.writer != nullptr};
}

std::uint64_t FdTable::tag(int fd, const Slot& slot) noexcept {
    return std::uint64_t{slot.generation} << 32 | static_cast<std::uint32_t>(fd);
}

FdWait*& FdTable::place_for(Slot& slot, const FdWait& wait) noexcept {
    return wait.direction() == Direction::read ? slot.waits.reader : slot.waits.writer;
}

bool FdTable::make_room_for(int fd) noexcept {
    const std::size_t needed = static_cast<std::size_t>(fd) + 1;
    if (needed <= slots_.size()) {
        return true;
    }
    try {
        slots_.resize(std::max({needed, 2 * slots_.size(), std::size_t{64}}));
        return true;
    } catch (const std::bad_alloc&) {
        return false;
    }
}

FdTable::Pair FdTable::abandon(Slot& slot) noexcept {
    ++slot.generation;
    slot.watched = false;
    return take(slot);
}

FdTable::Pair FdTable::take(Slot& slot) noexcept {
    return {take(slot.waits.reader), take(slot.waits.writer)};
}

FdWait* FdTable::take(FdWait*& place) noexcept {
    size_ -= place != nullptr;
    return std::exchange(place, nullptr);
}

}  // namespace gilpool::core
