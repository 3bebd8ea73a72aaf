// The timer of the textbooks: one thread, a mutex, a condition variable, a priority queue of
// functions.
#pragma once

#include <chrono>
#include <condition_variable>
#include <mutex>
#include <queue>
#include <thread>
#include <vector>

#include "peers/peer.hpp"

namespace gilpool::benchmarks {

class TextbookTimer {
  public:
    using Clock = std::chrono::steady_clock;

    TextbookTimer() : thread_([this] { work(); }) {}

    /// Drops what is not due and joins.
    ~TextbookTimer() {
        {
            std::lock_guard guard(mutex_);
            closed_ = true;
        }
        changed_.notify_one();
        thread_.join();
    }
    TextbookTimer(const TextbookTimer&) = delete;
    TextbookTimer& operator=(const TextbookTimer&) = delete;

    void call_at(Clock::time_point deadline, Function function, void* context) {
        bool earliest;
        {
            std::lock_guard guard(mutex_);
            earliest = timers_.empty() || deadline < timers_.top().deadline;
            timers_.push({deadline, function, context});
        }
        if (earliest) {
            changed_.notify_one();
        }
    }

  private:
    struct Timer {
        Clock::time_point deadline;
        Function function;
        void* context;
        bool operator<(const Timer& other) const { return deadline > other.deadline; }
    };

    void work() {
        std::unique_lock lock(mutex_);
        while (!closed_) {
            if (timers_.empty()) {
                changed_.wait(lock);
            } else if (const Timer timer = timers_.top(); timer.deadline > Clock::now()) {
                changed_.wait_until(lock, timer.deadline);
            } else {
                timers_.pop();
                lock.unlock();
                timer.function(timer.context);
                lock.lock();
            }
        }
    }

    std::mutex mutex_;
    std::condition_variable changed_;
    std::priority_queue<Timer> timers_;
    bool closed_ = false;
    std::thread thread_;
};

}  // namespace gilpool::benchmarks
