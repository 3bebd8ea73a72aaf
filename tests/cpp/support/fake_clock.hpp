// A clock that stands still until a test moves it.
// Any thread may read it; `advance` and `on_move` belong to the test's own thread.
#pragma once

#include <atomic>
#include <functional>
#include <utility>
#include <vector>

#include "core/clock.hpp"

namespace gilpool::testing {

/// Starts at 1 s, so that a test can also name moments that have passed.
class FakeClock final : public core::Clock {
  public:
    core::TimePoint now() const noexcept override {
        return core::TimePoint(core::Duration(now_.load()));
    }
    bool runs_by_itself() const noexcept override { return false; }

    /// `on_move(tell)` makes every later `advance` call `tell`: it wakes who sleeps on this clock.
    void on_move(std::function<void()> tell) { listeners_.push_back(std::move(tell)); }

    /// `advance(step)` moves the clock forward, then tells every sleeper.
    void advance(core::Duration step) {
        now_.fetch_add(step.count());
        for (const auto& tell : listeners_) {
            tell();
        }
    }

  private:
    /// Nanoseconds; read by the threads under test while the test's thread moves it.
    std::atomic<core::Duration::rep> now_{core::Duration(std::chrono::seconds(1)).count()};
    std::vector<std::function<void()>> listeners_;
};

}  // namespace gilpool::testing
