// One pthread_atfork registration for the whole library, fanned out by stage.
// The table is read on the forking thread only; a plain atomic per hook is all it needs.
#include "core/fork.hpp"

#include <pthread.h>

#include <array>

namespace gilpool::core {

namespace detail {
std::atomic<std::uint32_t> fork_generation_word{0};
}

namespace {

using Hook = std::atomic<void (*)()>;

struct Stage {
    Hook prepare{nullptr};
    Hook parent{nullptr};
    Hook child{nullptr};
};

std::array<Stage, kForkStages> stages;

void run(const Hook& hook) {
    if (auto* const function = hook.load(std::memory_order_acquire)) {
        function();
    }
}

extern "C" void gilpool_before_fork() {
    for (auto stage = stages.rbegin(); stage != stages.rend(); ++stage) {
        run(stage->prepare);
    }
}

extern "C" void gilpool_after_fork_in_parent() {
    for (const Stage& stage : stages) {
        run(stage.parent);
    }
}

extern "C" void gilpool_after_fork_in_child() {
    // First of all: from here on every lock held by a lost thread reads as free.
    detail::fork_generation_word.fetch_add(1, std::memory_order_relaxed);
    for (const Stage& stage : stages) {
        run(stage.child);
    }
}

}  // namespace

void set_fork_hooks(ForkStage stage, ForkHooks hooks) {
    static std::atomic<bool> registered{false};
    if (!registered.exchange(true, std::memory_order_acq_rel)) {
        pthread_atfork(gilpool_before_fork, gilpool_after_fork_in_parent,
                       gilpool_after_fork_in_child);
    }
    Stage& entry = stages[static_cast<std::size_t>(stage)];
    entry.prepare.store(hooks.prepare, std::memory_order_release);
    entry.parent.store(hooks.parent, std::memory_order_release);
    entry.child.store(hooks.child, std::memory_order_release);
}

}  // namespace gilpool::core
