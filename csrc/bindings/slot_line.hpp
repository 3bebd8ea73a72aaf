// bindings/slot_line.hpp: who waits for a slot of a full pool, first come, first served. GIL held,
// released while a claimant waits.
//
// Whoever makes a slot free hands it to the head of the line in the same breath: a task that waits
// there is queued by the worker that has just finished another one, without a word to the thread
// that spawns it, so a thousand tasks on a pool of eight cost no thousand hand-offs. A claim for
// several tasks gets one slot and goes to the end of the line, so spawners take turns.
//
// Invariant: while a claim is in line the pool is full, so nobody who comes later finds a slot.
#pragma once

#include <Python.h>

#include <cstdint>

#include "bindings/waiting.hpp"
#include "core/clock.hpp"

namespace gilpool::bindings {

struct Bulk;
struct PoolObject;
struct SlotClaim;
struct TaskObject;

/// The claims of one pool, linked through their own fields. In a forked child there are none: those
/// that were in line belonged to threads of the parent.
struct SlotLine {
    SlotClaim* first = nullptr;
    SlotClaim* last = nullptr;
    std::uint32_t generation = 0;  ///< fork generation of the claims
};

/// Hands free slots to those in line: a slot, or the pool's size, has changed.
void serve_line(PoolObject* pool);

/// How many wait in line.
Py_ssize_t length_of(const SlotLine& line);

/// Waits in line until `task`, which need not be fresh any more by then, has been queued.
/// Unless `notified` it has not been. A task that waits lends its own slot meanwhile, also to what
/// it is about to spawn.
WaitOutcome queue_when_free(PoolObject* pool, TaskObject* task, core::TimePoint deadline);

/// The same for the tasks of the list `tasks` from `begin` on; false with an exception set if
/// not all were queued.
bool queue_all_when_free(PoolObject* pool, PyObject* tasks, Py_ssize_t begin);

// --- a slot for each item of a bulk, which may be open ---

/// To be dropped by whoever made it.
SlotClaim* claim_for_items(Bulk* bulk);
void drop_claim(PoolObject* pool, SlotClaim* claim);

/// Items have been added: they get the slots that are free, or stand in line.
void claim_more(PoolObject* pool, SlotClaim* claim);

/// How many items have no slot yet.
std::size_t unserved(const SlotClaim* claim);

/// Waits until no more than `unserved_at_most` items are without a slot; the others stay in line.
/// False with an exception set, also if an item has been refused.
bool wait_for_items(PoolObject* pool, SlotClaim* claim, std::size_t unserved_at_most);

// --- a guest ---

/// Waits in line for a guest's slot and takes it.
WaitOutcome take_guest_slot_when_free(PoolObject* pool, core::TimePoint deadline);

}  // namespace gilpool::bindings
