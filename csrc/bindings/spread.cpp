// bindings/spread.cpp: helpers that take pieces off one counter.
#include "bindings/spread.hpp"

#include <algorithm>
#include <array>
#include <atomic>
#include <optional>

#include "core/group.hpp"
#include "core/limits.hpp"
#include "core/task.hpp"

namespace gilpool::bindings {

namespace {

constexpr std::size_t kMostHelpers = 63;
/// Files are waited for, so more threads than cores pay; a disk takes about so many requests.
constexpr std::size_t kBlockingThreads = 4;
constexpr std::size_t kPiecesPerThread = 16;
constexpr std::size_t kLongestPiece = 1024;

struct SharedLoop {
    SpreadLoop& loop;
    const std::size_t count;
    const std::size_t length;
    std::atomic<std::size_t> next{0};

    /// Does pieces until none is left.
    void work() noexcept {
        while (true) {
            const std::size_t begin = next.fetch_add(length, std::memory_order_relaxed);
            if (begin >= count) {
                return;
            }
            if (!loop.piece(begin, std::min(begin + length, count))) {
                next.store(count, std::memory_order_relaxed);
            }
        }
    }
};

struct Helper : core::Task {
    Helper() : core::Task([](core::Task& self) { static_cast<Helper&>(self).shared->work(); }) {}
    SharedLoop* shared = nullptr;
};

}  // namespace

void spread(SpreadLoop& loop, std::size_t count, std::size_t shortest_piece,
            core::Lane lane) noexcept {
    static const std::size_t cores = core::usable_cores();
    const std::size_t pieces = std::max<std::size_t>(count / shortest_piece, 1);
    const std::size_t threads =
        std::clamp<std::size_t>(lane == core::Lane::cpu ? cores : std::max(cores, kBlockingThreads),
                                1, std::min(kMostHelpers + 1, pieces));
    const std::size_t length =
        std::max(shortest_piece, std::min(count / (threads * kPiecesPerThread), kLongestPiece));
    SharedLoop shared{loop, count, length};
    std::array<Helper, kMostHelpers> helpers;
    core::TaskGroup group(core::Pool::process());
    for (std::size_t i = 0; i + 1 < threads; ++i) {
        helpers[i].shared = &shared;
        if (!group.submit(helpers[i], lane)) {
            break;
        }
    }
    shared.work();
    group.wait();  // a helper that nobody has begun is run here, and finds nothing left
}

}  // namespace gilpool::bindings
