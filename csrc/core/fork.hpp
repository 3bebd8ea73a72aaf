// What happens around fork(): a generation number, and hooks in an order that never varies.
// Hooks run on the forking thread; fork_generation() may be read by any thread at any time.
#pragma once

#include <atomic>
#include <cstdint>

namespace gilpool::core {

namespace detail {
extern std::atomic<std::uint32_t> fork_generation_word;
}

/// fork_generation() counts the forks between the first process and this one: what was locked,
/// queued or running under an older number belongs to threads that do not exist here.
inline std::uint32_t fork_generation() noexcept {
    // Relaxed: it changes only in a child that has one thread, so no other thread can race with it.
    return detail::fork_generation_word.load(std::memory_order_relaxed);
}

/// Who takes part in a fork. Before it the stages run from last to first (whoever feeds a stage
/// stops before it); after it, in parent and child, from first to last.
enum class ForkStage : std::uint8_t { pool, reactor, client };
inline constexpr int kForkStages = 3;

/// The three moments of pthread_atfork(); each may be null.
struct ForkHooks {
    void (*prepare)() = nullptr;  // before the fork, in the parent
    void (*parent)() = nullptr;   // after it, in the parent
    void (*child)() = nullptr;    // after it, in the child, whose only thread this is
};

/// set_fork_hooks() makes `hooks` the ones of this stage, for every fork that begins later.
void set_fork_hooks(ForkStage stage, ForkHooks hooks);

}  // namespace gilpool::core
