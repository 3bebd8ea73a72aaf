// Arm, cancel, fire, forget, fork preparation and shutdown from many threads at once, in random
// order: every wait that was armed ends exactly once, and nobody touches it after its end.
//
// What was armed is counted by who armed it, ends are counted in each wait. A wait is overwritten
// and freed as soon as the contract allows, so that a late touch shows as a wrong count, or as a
// use after free under the address sanitizer.
//
// Seen to fail here when the reactor was broken on purpose:
// - cancel that judges by the state read before it has the lock (a wait is lost, or ends twice),
//   cancel that does not wait for the batch function, or not for the batch being gathered;
// - cancel that leaves the descriptor in the table, an end by readiness that leaves the deadline in
//   the heap, an end by deadline that leaves the descriptor in the table.
#include <gtest/gtest.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "core/reactor.hpp"
#include "support/stress.hpp"

namespace gilpool::core {
namespace {

using namespace std::chrono_literals;
using testing::Random;
using testing::stress_seed;
using testing::stress_time;

/// How a wait that was handed over has ended, or that it has not; what a client may look at.
struct Ends {
    std::atomic<int> count{0};
    std::atomic<WaitEnd> result{WaitEnd::due};
};

/// A wait, and where its end is noted. `Wait` comes first: the batch function finds the rest by it.
template <class Wait>
struct Entry : Wait {
    template <class... Arguments>
    explicit Entry(Ends& noted, Arguments... arguments) : Wait(arguments...), ends(noted) {}
    Ends& ends;
};
using Sleep = Entry<TimedWait>;
using Read = Entry<FdWait>;

/// What all threads have counted together.
struct Totals {
    std::atomic<std::uint64_t> armed{0};
    std::atomic<std::uint64_t> cancelled{0};
    std::atomic<std::uint64_t> fired{0};
    std::atomic<std::uint64_t> dropped{0};

    static void on_batch(TimedWait* wait, void* context) noexcept {
        auto& totals = *static_cast<Totals*>(context);
        while (wait != nullptr) {
            TimedWait* const next = wait->next();
            const WaitEnd result = wait->result();
            ++(result == WaitEnd::due || result == WaitEnd::ready ? totals.fired : totals.dropped);
            Ends& ends = wait->on_descriptor() ? static_cast<Read*>(wait)->ends
                                               : static_cast<Sleep*>(wait)->ends;
            ends.result = result;
            ++ends.count;  // from here on a patient owner may free the wait
            wait = next;
        }
    }
};

/// One thread's share: some sleeps and some descriptors, each armed or not, replaced after each
/// end.
class Actor {
  public:
    static constexpr std::size_t kSleeps = 64;
    static constexpr std::size_t kReads = 8;

    Actor(Reactor& reactor, ReactorClient client, Totals& totals, std::uint64_t seed)
        : reactor_(reactor), client_(client), totals_(totals), random_(seed) {
        for (int& counter : counters_) {
            counter = ::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
        }
    }

    ~Actor() {
        for (const int counter : counters_) {
            ::close(counter);
        }
    }

    Actor(const Actor&) = delete;
    Actor& operator=(const Actor&) = delete;

    /// Does random things until the time is up or the reactor refuses, then ends what is armed.
    void run(TimePoint until) {
        while (std::chrono::steady_clock::now() < until && !refused_) {
            switch (random_.below(8)) {
                case 0:
                    arm_many();
                    break;
                case 1:
                    signal();
                    break;
                case 2:
                    reactor_.forget(counters_[random_.below(kReads)]);
                    break;
                case 3:
                case 4:
                    touch(reads_[random_.below(kReads)]);
                    break;
                default:
                    touch(sleeps_[random_.below(kSleeps)]);
            }
        }
        for (auto& sleep : sleeps_) {
            end(sleep);
        }
        for (auto& read : reads_) {
            end(read);
        }
    }

  private:
    template <class Wait>
    struct Slot {
        std::unique_ptr<Wait> wait;
        Ends ends;
    };

    /// Deadlines so near that many pass while they are armed, cancelled or looked at.
    TimePoint soon() { return std::chrono::steady_clock::now() + 1us * random_.below(300); }

    template <class Wait>
    void touch(Slot<Wait>& slot) {
        slot.wait == nullptr ? arm(slot) : end(slot);
    }

    void renew(Slot<Sleep>& slot) {
        slot.ends.count = 0;
        slot.wait = std::make_unique<Sleep>(slot.ends, client_);
    }

    void arm(Slot<Sleep>& slot) {
        renew(slot);
        settle(slot, reactor_.arm(*slot.wait, soon()));
    }

    void arm(Slot<Read>& slot) {
        const int fd = counters_[static_cast<std::size_t>(&slot - reads_.data())];
        std::uint64_t drained;
        [[maybe_unused]] const ssize_t size = ::read(fd, &drained, sizeof drained);
        slot.ends.count = 0;
        slot.wait = std::make_unique<Read>(slot.ends, client_, fd, Direction::read);
        settle(slot, reactor_.arm_fd(*slot.wait, random_.one_in(4) ? kNever : soon()));
    }

    template <class Wait>
    void settle(Slot<Wait>& slot, ArmResult result) {
        if (result == ArmResult::armed) {
            ++totals_.armed;
            return;
        }
        ASSERT_EQ(result, ArmResult::shut_down);
        refused_ = true;
        slot.wait.reset();
    }

    void arm_many() {
        std::vector<Slot<Sleep>*> slots;
        std::vector<Reactor::Arming> armings;
        for (auto& slot : sleeps_) {
            if (slot.wait == nullptr && random_.one_in(2)) {
                renew(slot);
                slots.push_back(&slot);
                armings.push_back({slot.wait.get(), soon()});
            }
        }
        const auto [armed, result] = reactor_.arm_many(armings);
        totals_.armed += armed;
        for (std::size_t i = armed; i < slots.size(); ++i) {
            ASSERT_EQ(result, ArmResult::shut_down);
            refused_ = true;
            slots[i]->wait.reset();
        }
    }

    void signal() {
        const std::uint64_t one = 1;
        ASSERT_EQ(::write(counters_[random_.below(kReads)], &one, sizeof one), 8);
    }

    /// Cancels in one of the two ways, and frees as soon as that way allows.
    template <class Wait>
    void end(Slot<Wait>& slot) {
        if (slot.wait == nullptr) {
            return;
        }
        const bool patient = random_.one_in(2);
        const bool won = patient ? reactor_.cancel(*slot.wait) : reactor_.try_cancel(*slot.wait);
        if (won) {
            ++totals_.cancelled;
            ASSERT_EQ(slot.ends.count, 0);
        } else if (patient) {
            ASSERT_EQ(slot.ends.count, 1) << "cancel returned before the batch function";
        } else {
            while (slot.ends.count == 0) {
                std::this_thread::yield();
            }
        }
        const int ended = slot.ends.count;
        destroy(slot.wait.release());
        ASSERT_EQ(ended, won ? 0 : 1);
        ASSERT_EQ(slot.ends.count, ended) << "handed over twice";
    }

    /// Overwrites what it frees; through volatile, or the compiler would see that nobody reads it.
    template <class Wait>
    static void destroy(Wait* wait) {
        wait->~Wait();
        auto* const bytes = reinterpret_cast<volatile unsigned char*>(wait);
        for (std::size_t i = 0; i < sizeof *wait; ++i) {
            bytes[i] = 0xDD;
        }
        ::operator delete(static_cast<void*>(wait));
    }

    Reactor& reactor_;
    ReactorClient client_;
    Totals& totals_;
    Random random_;
    std::array<Slot<Sleep>, kSleeps> sleeps_;
    std::array<Slot<Read>, kReads> reads_;
    std::array<int, kReads> counters_{};
    bool refused_ = false;
};

class ReactorStress : public ::testing::Test {
  protected:
    static constexpr unsigned kThreads = 4;

    /// Runs the actors to their end, and `meddle` beside them until they are done.
    template <class Function>
    void run(Reactor& reactor, Duration time, Function meddle) {
        const TimePoint until = std::chrono::steady_clock::now() + time;
        const std::uint64_t seed = stress_seed();
        SCOPED_TRACE("GILPOOL_STRESS_SEED=" + std::to_string(seed));
        totals = std::make_unique<Totals>();
        const ReactorClient client = reactor.add_client(&Totals::on_batch, totals.get());
        std::atomic<unsigned> running{kThreads};
        std::vector<std::thread> threads;
        for (unsigned i = 0; i < kThreads; ++i) {
            threads.emplace_back([&, i] {
                Actor(reactor, client, *totals, seed + i).run(until);
                --running;
            });
        }
        while (running > 0) {
            meddle();
        }
        for (std::thread& thread : threads) {
            thread.join();
        }
        reactor.shutdown();
        expect_exact_counts(reactor);
    }

    void expect_exact_counts(const Reactor& reactor) const {
        EXPECT_EQ(totals->armed, totals->fired + totals->cancelled + totals->dropped);
        const ReactorStats stats = reactor.stats();
        EXPECT_EQ(stats.armed, 0u);
        EXPECT_EQ(stats.armed_descriptors, 0u);
        EXPECT_EQ(stats.fired, totals->fired);
        EXPECT_EQ(stats.cancelled, totals->cancelled);
        EXPECT_EQ(stats.dropped, totals->dropped);
    }

    std::unique_ptr<Totals> totals;
};

TEST_F(ReactorStress, EveryWaitEndsExactlyOnce) {
    Reactor reactor;
    run(reactor, stress_time(), [] { std::this_thread::yield(); });
    // All three ways must have been taken often, or the schedules prove little.
    EXPECT_GT(totals->fired, 1000u);
    EXPECT_GT(totals->cancelled, 1000u);
    EXPECT_GT(totals->dropped, 100u);
}

TEST_F(ReactorStress, EveryWaitEndsExactlyOnceWhileTheThreadRetiresForForksAndComesBack) {
    Reactor reactor;
    run(reactor, stress_time(), [&] {
        reactor.prepare_fork();
        reactor.parent_after_fork();
        std::this_thread::yield();
    });
    EXPECT_GT(reactor.stats().threads_started, 10u);
}

TEST_F(ReactorStress, TwoThreadsMayPrepareForksAtOnce) {
    Reactor reactor;
    std::atomic<bool> stop{false};
    const auto fork = [&] {
        reactor.prepare_fork();
        reactor.parent_after_fork();
    };
    std::thread other([&] {
        while (!stop) {
            fork();
        }
    });
    run(reactor, stress_time() / 2, fork);
    stop = true;
    other.join();
}

TEST_F(ReactorStress, EveryWaitEndsExactlyOnceThroughAShutdown) {
    for (int round = 0; round < 20; ++round) {
        Reactor reactor;
        run(reactor, stress_time(), [&] {
            if (totals->fired >= 200) {
                reactor.shutdown();
            }
            std::this_thread::yield();
        });
    }
}

}  // namespace
}  // namespace gilpool::core
