// A client of the reactor that writes down what it is handed, and lets a test wait for it.
// The batch function runs on the reactor's thread; the test's thread asks; one mutex.
#pragma once

#include <algorithm>
#include <condition_variable>
#include <cstddef>
#include <functional>
#include <mutex>
#include <utility>
#include <vector>

#include "core/reactor.hpp"
#include "support/eventually.hpp"

namespace gilpool::testing {

/// Keeps, in the order of arrival, every wait it was handed, and in which batch. Outlives no
/// reactor.
class ReactorSink {
  public:
    struct Arrival {
        core::TimedWait* wait;
        core::WaitEnd result;
        std::size_t batch;
    };

    explicit ReactorSink(core::Reactor& reactor)
        : client_(reactor.add_client(&ReactorSink::on_batch, this)) {}

    core::ReactorClient client() const { return client_; }

    /// `before_batch(function)` runs the function on the delivering thread ahead of each batch.
    void before_batch(std::function<void()> function) { before_batch_ = std::move(function); }

    /// `wait_for(count)` waits until that many waits have arrived in all; false if they never do.
    bool wait_for(std::size_t count) {
        std::unique_lock lock(mutex_);
        return changed_.wait_until(lock, far_deadline(), [&] { return arrivals_.size() >= count; });
    }

    /// `wait_for(wait)` waits until this wait has arrived.
    bool wait_for(const core::TimedWait& wait) {
        std::unique_lock lock(mutex_);
        return changed_.wait_until(lock, far_deadline(), [&] { return count_of(wait) > 0; });
    }

    std::vector<Arrival> arrivals() const {
        const std::lock_guard lock(mutex_);
        return arrivals_;
    }

    /// `times(wait)` tells how often a wait has arrived.
    std::size_t times(const core::TimedWait& wait) const {
        const std::lock_guard lock(mutex_);
        return count_of(wait);
    }

    std::size_t batches() const {
        const std::lock_guard lock(mutex_);
        return batches_;
    }

  private:
    std::size_t count_of(const core::TimedWait& wait) const {
        return static_cast<std::size_t>(
            std::count_if(arrivals_.begin(), arrivals_.end(),
                          [&](const Arrival& arrival) { return arrival.wait == &wait; }));
    }

    static void on_batch(core::TimedWait* first, void* context) noexcept {
        auto& sink = *static_cast<ReactorSink*>(context);
        if (sink.before_batch_) {
            sink.before_batch_();
        }
        const std::lock_guard lock(sink.mutex_);
        for (core::TimedWait* wait = first; wait != nullptr; wait = wait->next()) {
            sink.arrivals_.push_back({wait, wait->result(), sink.batches_});
        }
        ++sink.batches_;
        sink.changed_.notify_all();
    }

    core::ReactorClient client_;
    std::function<void()> before_batch_;
    mutable std::mutex mutex_;
    std::condition_variable changed_;
    std::vector<Arrival> arrivals_;
    std::size_t batches_ = 0;
};

}  // namespace gilpool::testing
