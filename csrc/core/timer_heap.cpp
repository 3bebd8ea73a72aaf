// Deadlines of armed waits, the earliest on top: an intrusive 4-ary heap that knows where each is.
// Not thread-safe: the owner's lock guards every call.
#include "core/timer_heap.hpp"

#include <algorithm>
#include <cassert>
#include <cstring>
#include <new>

namespace gilpool::core {
namespace {

constexpr std::size_t kArity = 4;
constexpr std::align_val_t kCacheLine{64};

/// Unused slots in front of slot 0, so that the children of every slot begin a cache line.
constexpr std::size_t kPadding = kArity - 1;

/// Below this the buffer (64 kB) is not worth giving back.
constexpr std::size_t kSmallCapacity = 4096;

}  // namespace

TimerHeap::~TimerHeap() {
    resize(0);
}

bool TimerHeap::reserve(std::size_t count) noexcept {
    if (count <= capacity_) {
        return true;
    }
    return count < TimerNode::kOutside && resize(std::max<std::size_t>({count, 2 * capacity_, 64}));
}

void TimerHeap::push(TimerNode& node, TimePoint deadline) noexcept {
    assert(node.heap_index_ == TimerNode::kOutside && size_ < capacity_);
    sift_up(size_++, Slot{deadline.time_since_epoch().count(), &node});
}

bool TimerHeap::remove(TimerNode& node) noexcept {
    if (node.heap_index_ == TimerNode::kOutside) {
        return false;
    }
    const std::size_t index = node.heap_index_;
    const Slot removed = slots_[index];
    const Slot last = slots_[--size_];
    node.heap_index_ = TimerNode::kOutside;
    if (index == size_) {
        return true;
    }
    // The last slot fills the gap, and may belong above it: it comes from another branch.
    if (last.deadline < removed.deadline) {
        sift_up(index, last);
    } else {
        sift_down(index, last);
    }
    return true;
}

TimerNode* TimerHeap::pop() noexcept {
    if (size_ == 0) {
        return nullptr;
    }
    TimerNode* const node = slots_[0].node;
    remove(*node);
    return node;
}

TimePoint TimerHeap::earliest() const noexcept {
    return size_ == 0 ? kNever : TimePoint(Duration(slots_[0].deadline));
}

void TimerHeap::give_back_memory() noexcept {
    // Shrinking at an eighth to a quarter full pays for itself: it takes as many pushes to grow.
    if (capacity_ > kSmallCapacity && size_ < capacity_ / 8) {
        resize(std::max(2 * size_, kSmallCapacity));
    }
}

bool TimerHeap::resize(std::size_t capacity) noexcept {
    assert(capacity >= size_ || capacity == 0);
    Slot* slots = nullptr;
    if (capacity > 0) {
        void* const block =
            ::operator new((capacity + kPadding) * sizeof(Slot), kCacheLine, std::nothrow);
        if (block == nullptr) {
            return false;
        }
        slots = static_cast<Slot*>(block) + kPadding;
        if (size_ > 0) {
            std::memcpy(slots, slots_, size_ * sizeof(Slot));
        }
    }
    if (slots_ != nullptr) {
        ::operator delete(slots_ - kPadding, kCacheLine);
    }
    slots_ = slots;
    capacity_ = capacity;
    return true;
}

void TimerHeap::place(std::size_t index, Slot slot) noexcept {
    slots_[index] = slot;
    slot.node->heap_index_ = static_cast<std::uint32_t>(index);
}

void TimerHeap::sift_up(std::size_t index, Slot slot) noexcept {
    while (index > 0) {
        const std::size_t parent = (index - 1) / kArity;
        if (slots_[parent].deadline <= slot.deadline) {
            break;
        }
        place(index, slots_[parent]);
        index = parent;
    }
    place(index, slot);
}

void TimerHeap::sift_down(std::size_t index, Slot slot) noexcept {
    for (;;) {
        const std::size_t first = kArity * index + 1;
        if (first >= size_) {
            break;
        }
        const std::size_t end = std::min(first + kArity, size_);
        std::size_t least = first;
        for (std::size_t child = first + 1; child < end; ++child) {
            if (slots_[child].deadline < slots_[least].deadline) {
                least = child;
            }
        }
        if (slots_[least].deadline >= slot.deadline) {
            break;
        }
        place(index, slots_[least]);
        index = least;
    }
    place(index, slot);
}

}  // namespace gilpool::core
