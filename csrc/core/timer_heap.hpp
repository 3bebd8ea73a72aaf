// Deadlines of armed waits, the earliest on top: an intrusive 4-ary heap that knows where each is.
// Not thread-safe: the owner's lock guards every call (in the reactor: the reactor's mutex).
#pragma once

#include <cstddef>
#include <cstdint>

#include "core/clock.hpp"

namespace gilpool::core {

/// What is embedded in an object that can stand in a TimerHeap, in one heap at a time.
/// Must stay alive and in place while it stands there.
class TimerNode {
  public:
    TimerNode() = default;
    TimerNode(const TimerNode&) = delete;
    TimerNode& operator=(const TimerNode&) = delete;

  private:
    friend class TimerHeap;
    static constexpr std::uint32_t kOutside = UINT32_MAX;

    /// Where the node's slot is in the heap; kOutside while it stands in none.
    std::uint32_t heap_index_ = kOutside;
};

/// A priority queue of (deadline, node): 16 bytes a node beside the node's own index.
///
/// push and remove take O(log n), the earliest deadline O(1). Nodes of equal deadlines leave in no
/// particular order. Nothing allocates but `reserve`, so that a full memory shows before anything
/// has changed. A comparison reads no node, only slots, and the four children of a slot share one
/// cache line: that is why the heap is 4-ary and holds copies of the deadlines.
class TimerHeap {
  public:
    TimerHeap() = default;
    ~TimerHeap();
    TimerHeap(const TimerHeap&) = delete;
    TimerHeap& operator=(const TimerHeap&) = delete;

    /// `reserve(count)` makes room for `count` nodes in all; false if there is no memory for them.
    [[nodiscard]] bool reserve(std::size_t count) noexcept;

    /// `push(node, deadline)` adds a node that stands in no heap. Room must have been reserved.
    void push(TimerNode& node, TimePoint deadline) noexcept;

    /// `remove(node)` takes the node out; false, and nothing happens, if it stands in no heap.
    bool remove(TimerNode& node) noexcept;

    /// `pop()` takes out a node of the earliest deadline; nullptr if the heap is empty.
    TimerNode* pop() noexcept;

    /// `drain(function)` takes out every node, in no order, and calls function(node): O(n).
    template <class Function>
    void drain(Function&& function) noexcept {
        for (; size_ > 0; --size_) {
            TimerNode& node = *slots_[size_ - 1].node;
            node.heap_index_ = TimerNode::kOutside;
            function(node);
        }
    }

    /// `earliest()` returns the deadline that `pop` would take; kNever if the heap is empty.
    TimePoint earliest() const noexcept;

    /// `give_back_memory()` shrinks a buffer that is mostly unused; nothing happens if it cannot.
    void give_back_memory() noexcept;

    std::size_t size() const noexcept { return size_; }
    bool empty() const noexcept { return size_ == 0; }
    std::size_t capacity() const noexcept { return capacity_; }

  private:
    struct Slot {
        Duration::rep deadline;
        TimerNode* node;
    };

    bool resize(std::size_t capacity) noexcept;
    void place(std::size_t index, Slot slot) noexcept;
    void sift_up(std::size_t index, Slot slot) noexcept;
    void sift_down(std::size_t index, Slot slot) noexcept;

    /// Slot 0 of the heap; stands 48 bytes into a 64-byte aligned block.
    Slot* slots_ = nullptr;
    std::size_t size_ = 0;
    std::size_t capacity_ = 0;
};

}  // namespace gilpool::core
