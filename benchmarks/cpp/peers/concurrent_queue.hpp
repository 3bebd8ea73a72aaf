// moodycamel's lock-free queue with a plain pool around it: tokens on both sides, no std::function.
#pragma once

#include <blockingconcurrentqueue.h>

#include <cstddef>
#include <span>
#include <stdexcept>
#include <thread>
#include <vector>

#include "peers/peer.hpp"

namespace gilpool::benchmarks {

class ConcurrentQueue {
  public:
    static constexpr const char* kName = "concurrentqueue";
    struct Entry {
        Function function;
        void* context;
    };

    explicit ConcurrentQueue(int workers) {
        threads_.reserve(static_cast<std::size_t>(workers));
        for (int i = 0; i < workers; ++i) {
            threads_.emplace_back([this] { work(); });
        }
    }

    ~ConcurrentQueue() {
        for (std::size_t i = 0; i < threads_.size(); ++i) {
            queue_.enqueue({nullptr, nullptr});
        }
        for (std::thread& thread : threads_) {
            thread.join();
        }
    }
    ConcurrentQueue(const ConcurrentQueue&) = delete;
    ConcurrentQueue& operator=(const ConcurrentQueue&) = delete;

    class Submitter {
      public:
        explicit Submitter(ConcurrentQueue& pool) : queue_(pool.queue_), token_(pool.queue_) {}

        void post(Function function, void* context) {
            if (!queue_.enqueue(token_, {function, context})) {
                throw std::runtime_error("the queue refused an entry");
            }
        }

        void post_many(std::span<const Entry> entries) {
            if (!queue_.enqueue_bulk(token_, entries.data(), entries.size())) {
                throw std::runtime_error("the queue refused a batch");
            }
        }

      private:
        moodycamel::BlockingConcurrentQueue<Entry>& queue_;
        moodycamel::ProducerToken token_;
    };

    static Entry entry(Function function, void* context) { return {function, context}; }

  private:
    /// A null function ends one worker.
    void work() {
        moodycamel::ConsumerToken token(queue_);
        Entry entry{};
        while (true) {
            queue_.wait_dequeue(token, entry);
            if (entry.function == nullptr) {
                return;
            }
            entry.function(entry.context);
        }
    }

    moodycamel::BlockingConcurrentQueue<Entry> queue_;
    std::vector<std::thread> threads_;
};
static_assert(Peer<ConcurrentQueue>);

}  // namespace gilpool::benchmarks
