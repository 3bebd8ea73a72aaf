// Who takes part in a trace, and what has been collected from them so far.
// See the header for the lock.
#include "core/trace_log.hpp"

#include <algorithm>
#include <new>
#include <utility>

namespace gilpool::core {

TraceLog::Thread* TraceLog::enter(int native_id, std::size_t ring_records) {
    auto thread = std::make_unique<Thread>(ring_records, native_id);
    const std::lock_guard guard(lock_);
    thread->index = static_cast<std::uint32_t>(recording_.native_ids.size());
    recording_.native_ids.push_back(native_id);
    threads_.push_back(std::move(thread));
    return threads_.back().get();
}

void TraceLog::leave(Thread* thread) {
    const std::lock_guard guard(lock_);
    drain_locked(*thread);
    recording_.dropped += recording_is_on_ ? thread->ring.dropped() - thread->dropped_before : 0;
    const auto at = std::find_if(threads_.begin(), threads_.end(),
                                 [thread](const auto& each) { return each.get() == thread; });
    std::swap(*at, threads_.back());
    threads_.pop_back();
}

void TraceLog::begin(std::size_t most) {
    const std::lock_guard guard(lock_);
    recording_ = Recording{};
    recording_is_on_ = true;
    most_ = most;
    for (const std::unique_ptr<Thread>& thread : threads_) {
        thread->ring.take([](const TraceRecord&) {});
        thread->dropped_before = thread->ring.dropped();
        thread->subject.store(nullptr);
        thread->open = TraceRecord{};
        thread->asked = 0;
        thread->stamps_itself.store(false);
        thread->seen = 0;
        thread->index = static_cast<std::uint32_t>(recording_.native_ids.size());
        recording_.native_ids.push_back(thread->native_id);
    }
}

void TraceLog::note(const TraceRecord& record) {
    if (!recording_is_on_) {
        return;
    }
    if (recording_.records >= most_) {
        ++recording_.dropped;
        return;
    }
    try {
        if (recording_.chunks.empty() || recording_.chunks.back().size() == Recording::kChunk) {
            std::vector<TraceRecord> chunk;
            chunk.reserve(Recording::kChunk);
            recording_.chunks.push_back(std::move(chunk));
        }
        recording_.chunks.back().push_back(record);
        ++recording_.records;
    } catch (const std::bad_alloc&) {
        ++recording_.dropped;
    }
}

TraceLog::Recording TraceLog::take() {
    const std::lock_guard guard(lock_);
    for (const std::unique_ptr<Thread>& thread : threads_) {
        drain_locked(*thread);
        recording_.dropped += thread->ring.dropped() - thread->dropped_before;
    }
    recording_is_on_ = false;
    Recording taken = std::move(recording_);
    recording_ = Recording{};
    return taken;
}

std::size_t TraceLog::drain_locked(Thread& thread) {
    std::size_t records = 0;
    thread.ring.take([&](TraceRecord& record) {
        record.thread = thread.index;
        note(record);
        ++records;
    });
    return records;
}

}  // namespace gilpool::core
