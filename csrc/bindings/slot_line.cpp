// bindings/slot_line.cpp: claims, the line they stand in, and who serves it.
#include "bindings/slot_line.hpp"

#include <algorithm>
#include <new>
#include <vector>

#include "bindings/bulk.hpp"
#include "bindings/lifecycle.hpp"
#include "bindings/pool_type.hpp"
#include "bindings/task_type.hpp"
#include "bindings/worker_threads.hpp"
#include "core/fork.hpp"

namespace gilpool::bindings {

/// What one thread waits for. On the heap, and left there for good when its thread is unwound out
/// of a dying interpreter, for others may still look at it.
struct SlotClaim {
    std::vector<TaskObject*> tasks;    ///< strong; a slot for each
    Bulk* bulk = nullptr;              ///< a slot for each item; neither: one slot for a guest
    std::size_t served = 0;            ///< slots handed over
    std::size_t unserved_at_most = 0;  ///< the claimant waits until no more are missing
    bool refused = false;  ///< the next task could not be queued: its spawner shall see why
    bool in_line = false;
    std::uint32_t generation = 0;  ///< fork generation in which it got there
    core::WaitList claimant;
    SlotClaim* previous = nullptr;
    SlotClaim* next = nullptr;

    std::size_t wanted() const {
        return bulk != nullptr ? static_cast<std::size_t>(bulk->count)
                               : std::max<std::size_t>(tasks.size(), 1);
    }
    bool ended() const { return refused || served == wanted(); }
    bool is_enough() const { return refused || served + unserved_at_most >= wanted(); }
    bool is_in_line() const { return in_line && generation == core::fork_generation(); }
};

namespace {

SlotClaim* first_in(const SlotLine& line) {
    return line.generation == core::fork_generation() ? line.first : nullptr;
}

void get_in_line(SlotLine& line, SlotClaim* claim) {
    if (first_in(line) == nullptr) {
        line = SlotLine{.generation = core::fork_generation()};
    }
    claim->in_line = true;
    claim->generation = line.generation;
    claim->previous = line.last;
    claim->next = nullptr;
    (line.last != nullptr ? line.last->next : line.first) = claim;
    line.last = claim;
}

void leave_line(SlotLine& line, SlotClaim* claim) {
    (claim->previous != nullptr ? claim->previous->next : line.first) = claim->next;
    (claim->next != nullptr ? claim->next->previous : line.last) = claim->previous;
    claim->in_line = false;
}

/// Uses one free slot for the claim.
void serve(PoolObject* pool, SlotClaim* claim) {
    if (claim->bulk != nullptr) {
        if (spawning_is_over() || pool->broken || !allow_items(pool, claim->bulk, 1)) {
            claim->refused = true;
        } else {
            ++claim->served;
        }
        return;
    }
    if (claim->tasks.empty()) {
        take_guest_slot(pool);
        ++claim->served;
        return;
    }
    TaskObject* const task = claim->tasks[claim->served];
    // Started elsewhere or killed while it waited: then it needs no slot here.
    if (task->state == TaskState::fresh &&
        (spawning_is_over() || pool->broken || !queue_task(pool, task))) {
        claim->refused = true;
        return;
    }
    ++claim->served;
}

/// Waits in line until the claim has enough.
WaitOutcome wait_in_line(PoolObject* pool, SlotClaim* claim, core::TimePoint deadline) {
    const bool may_wait = core::monotonic_now() < deadline;
    if (may_wait && initializer_may_not_wait(pool)) {
        return WaitOutcome::raised;
    }
    // Before the claim is in line: it must not get its own slot, over and over.
    const bool lent = may_wait && lend_own_slot();
    claim_more(pool, claim);
    WaitOutcome outcome = WaitOutcome::notified;
    while (!claim->is_enough() && outcome == WaitOutcome::notified) {
        ListedWaiter waiter(claim->claimant);
        outcome = waiter.wait_until(deadline);
    }
    if (lent) {
        take_own_slot_back();
    }
    return outcome;
}

/// The same until it has all it wants, and leaves.
WaitOutcome stand_in_line(PoolObject* pool, SlotClaim* claim, core::TimePoint deadline) {
    WaitOutcome outcome = wait_in_line(pool, claim, deadline);
    if (claim->is_in_line()) {
        leave_line(pool->line, claim);
    }
    if (claim->served == claim->wanted() && outcome == WaitOutcome::timed_out) {
        outcome = WaitOutcome::notified;
    }
    // Whoever was refused learns why by starting the rest itself.
    while (outcome == WaitOutcome::notified && claim->served < claim->tasks.size()) {
        TaskObject* const task = claim->tasks[claim->served++];
        if (task->state == TaskState::fresh && !start_task(pool, task)) {
            outcome = WaitOutcome::raised;
        }
    }
    return outcome;
}

void drop(SlotClaim* claim) {
    for (TaskObject* const task : claim->tasks) {
        Py_DECREF(as_object(task));
    }
    delete claim;
}

}  // namespace

void serve_line(PoolObject* pool) {
    for (SlotClaim* claim = first_in(pool->line); claim != nullptr && !is_full(pool);
         claim = first_in(pool->line)) {
        leave_line(pool->line, claim);
        serve(pool, claim);
        if (!claim->ended()) {
            get_in_line(pool->line, claim);
        }
        if (claim->is_enough() && !claim->claimant.empty()) {
            claim->claimant.notify_all();
        }
    }
}

Py_ssize_t length_of(const SlotLine& line) {
    Py_ssize_t length = 0;
    for (const SlotClaim* claim = first_in(line); claim != nullptr; claim = claim->next) {
        ++length;
    }
    return length;
}

WaitOutcome queue_when_free(PoolObject* pool, TaskObject* task, core::TimePoint deadline) {
    auto* const claim = new SlotClaim;
    claim->tasks.push_back(task);
    Py_INCREF(as_object(task));
    const WaitOutcome outcome = stand_in_line(pool, claim, deadline);
    drop(claim);
    return outcome;
}

bool queue_all_when_free(PoolObject* pool, PyObject* tasks, Py_ssize_t begin) {
    const Py_ssize_t end = PyList_GET_SIZE(tasks);
    if (begin >= end) {
        return true;
    }
    auto* const claim = new SlotClaim;
    claim->tasks.reserve(static_cast<std::size_t>(end - begin));
    for (Py_ssize_t i = begin; i < end; ++i) {
        claim->tasks.push_back(as_task(Py_NewRef(PyList_GET_ITEM(tasks, i))));
    }
    const WaitOutcome outcome = stand_in_line(pool, claim, core::kNever);
    drop(claim);
    return outcome == WaitOutcome::notified;
}

SlotClaim* claim_for_items(Bulk* bulk) {
    auto* const claim = new SlotClaim;
    claim->bulk = bulk;
    return claim;
}

void claim_more(PoolObject* pool, SlotClaim* claim) {
    if (!claim->is_in_line() && !claim->ended()) {
        get_in_line(pool->line, claim);
        serve_line(pool);
    }
}

std::size_t unserved(const SlotClaim* claim) {
    return claim->wanted() - claim->served;
}

bool wait_for_items(PoolObject* pool, SlotClaim* claim, std::size_t unserved_at_most) {
    claim->unserved_at_most = unserved_at_most;
    return (claim->is_enough() ||
            wait_in_line(pool, claim, core::kNever) == WaitOutcome::notified) &&
           (!claim->refused || (may_spawn(pool) && raise_no_thread()));
}

void drop_claim(PoolObject* pool, SlotClaim* claim) {
    if (claim->is_in_line()) {
        leave_line(pool->line, claim);
    }
    drop(claim);
}

WaitOutcome take_guest_slot_when_free(PoolObject* pool, core::TimePoint deadline) {
    auto* const claim = new SlotClaim;
    const WaitOutcome outcome = stand_in_line(pool, claim, deadline);
    if (outcome != WaitOutcome::notified && claim->served > 0) {
        return_guest_slot(pool);
    }
    drop(claim);
    return outcome;
}

}  // namespace gilpool::bindings
