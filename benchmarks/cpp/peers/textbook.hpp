// The pool of the textbooks: one mutex, one deque of std::function, one condition variable.
#pragma once

#include <condition_variable>
#include <cstddef>
#include <deque>
#include <functional>
#include <mutex>
#include <span>
#include <thread>
#include <vector>

#include "peers/peer.hpp"

namespace gilpool::benchmarks {

class Textbook {
  public:
    static constexpr const char* kName = "textbook";
    using Entry = std::function<void()>;

    explicit Textbook(int workers) {
        threads_.reserve(static_cast<std::size_t>(workers));
        for (int i = 0; i < workers; ++i) {
            threads_.emplace_back([this] { work(); });
        }
    }

    /// Runs what is queued and joins.
    ~Textbook() {
        {
            std::lock_guard guard(mutex_);
            closed_ = true;
        }
        changed_.notify_all();
        for (std::thread& thread : threads_) {
            thread.join();
        }
    }
    Textbook(const Textbook&) = delete;
    Textbook& operator=(const Textbook&) = delete;

    class Submitter {
      public:
        explicit Submitter(Textbook& pool) : pool_(pool) {}

        void post(Function function, void* context) {
            {
                std::lock_guard guard(pool_.mutex_);
                pool_.entries_.push_back(entry(function, context));
            }
            pool_.changed_.notify_one();
        }

        void post_many(std::span<const Entry> entries) {
            {
                std::lock_guard guard(pool_.mutex_);
                pool_.entries_.insert(pool_.entries_.end(), entries.begin(), entries.end());
            }
            pool_.changed_.notify_all();
        }

      private:
        Textbook& pool_;
    };

    /// Two words: they fit into the std::function, so nobody pays for memory here.
    static Entry entry(Function function, void* context) {
        return [function, context] { function(context); };
    }

  private:
    void work() {
        std::unique_lock lock(mutex_);
        while (true) {
            changed_.wait(lock, [this] { return closed_ || !entries_.empty(); });
            if (entries_.empty()) {
                return;
            }
            const Entry entry = std::move(entries_.front());
            entries_.pop_front();
            lock.unlock();
            entry();
            lock.lock();
        }
    }

    std::mutex mutex_;
    std::condition_variable changed_;
    std::deque<Entry> entries_;
    bool closed_ = false;
    std::vector<std::thread> threads_;
};
static_assert(Peer<Textbook>);

}  // namespace gilpool::benchmarks
