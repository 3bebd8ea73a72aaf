// JobQueue: blocks in a doubly linked chain, filled at the end, emptied at the front.
#include "core/job_queue.hpp"

#include <algorithm>

namespace gilpool::core {

JobQueue::~JobQueue() {
    clear();
    while (Block* const block = spare_) {
        spare_ = block->next;
        delete block;
    }
}

void JobQueue::append_block() {
    Block* block = spare_;
    if (block != nullptr) {
        spare_ = block->next;
        --spares_;
    } else {
        block = new Block;
    }
    block->next = nullptr;
    block->previous = last_;
    block->erased = 0;
    block->first_ticket = pushed_;
    Block* const full = last_;
    if (full != nullptr) {
        full->next = block;
    } else {
        first_ = block;
        head_ = 0;
    }
    last_ = block;
    tail_ = 0;
    // A block that lost all its jobs while it was the last one could not go before.
    if (full != nullptr && full->erased == kBlockJobs && full != first_) {
        unlink(full);
    }
}

void JobQueue::unlink(Block* block) noexcept {
    (block->previous != nullptr ? block->previous->next : first_) = block->next;
    (block->next != nullptr ? block->next->previous : last_) = block->previous;
    if (spares_ < kSpareBlocks) {
        block->next = spare_;
        spare_ = block;
        ++spares_;
    } else {
        delete block;
    }
}

JobQueue::Place JobQueue::push(Job job) {
    make_room();
    Job* const slot = &last_->jobs[tail_++];
    *slot = job;
    set_size(size() + 1);
    return {slot, pushed_++};
}

std::size_t JobQueue::pop(Job* out, std::size_t most) noexcept {
    const std::size_t wanted = std::min(most, size());
    std::size_t taken = 0;
    while (taken < wanted) {
        if (head_ == kBlockJobs) {
            unlink(first_);
            head_ = 0;
        }
        const Job job = first_->jobs[head_++];
        if (job.function != nullptr) {
            out[taken++] = job;
        }
    }
    set_size(size() - taken);
    return taken;
}

bool JobQueue::erase(const Place& place) noexcept {
    if (first_ == nullptr || place.ticket < first_->first_ticket + head_) {
        return false;
    }
    const auto address = reinterpret_cast<std::uintptr_t>(place.slot);
    auto* const block = reinterpret_cast<Block*>(address & ~(kBlockBytes - 1));
    place.slot->function = nullptr;
    ++block->erased;
    set_size(size() - 1);
    if (size() == 0) {
        forget_emptied();
    } else if (block->erased == kBlockJobs && block != first_ && block != last_) {
        unlink(block);
    }
    return true;
}

void JobQueue::forget_emptied() noexcept {
    while (first_ != last_) {
        unlink(first_);
    }
    head_ = tail_;
}

void JobQueue::clear() noexcept {
    while (first_ != nullptr) {
        unlink(first_);
    }
    head_ = tail_ = 0;
    set_size(0);
}

}  // namespace gilpool::core
