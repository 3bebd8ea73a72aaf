// WaitList and StopToken: who is told, in which order, and that nobody is touched afterwards.
#include "core/waiters.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <iterator>
#include <memory>
#include <new>
#include <thread>
#include <vector>

#include "core/fork.hpp"
#include "core/stop_token.hpp"
#include "support/eventually.hpp"
#include "support/process.hpp"
#include "support/stress.hpp"

namespace gilpool::core {
namespace {

struct Recorder : Waiter {
    explicit Recorder(std::vector<int>& into, int number)
        : Waiter([](Waiter& self) noexcept {
              auto& me = static_cast<Recorder&>(self);
              me.log.push_back(me.id);
          }),
          log(into),
          id(number) {}
    std::vector<int>& log;
    int id;
};

TEST(WaitList, TellsEveryWaiterOnceInTheOrderTheyCame) {
    std::vector<int> told;
    WaitList list;
    Recorder a(told, 1), b(told, 2), c(told, 3);
    list.add(a);
    list.add(b);
    list.add(c);
    list.notify_all();
    list.notify_all();
    EXPECT_EQ(told, (std::vector<int>{1, 2, 3}));
}

TEST(WaitList, NotifyOneTellsTheOneThatWaitsLongest) {
    std::vector<int> told;
    WaitList list;
    Recorder a(told, 1), b(told, 2);
    list.add(a);
    list.add(b);
    EXPECT_TRUE(list.notify_one());
    EXPECT_EQ(told, (std::vector<int>{1}));
    EXPECT_TRUE(list.notify_one());
    EXPECT_FALSE(list.notify_one());
    EXPECT_EQ(told, (std::vector<int>{1, 2}));
}

TEST(WaitList, RemoveSaysWhetherTheWaiterWasStillIn) {
    std::vector<int> told;
    WaitList list;
    Recorder a(told, 1), b(told, 2), c(told, 3), never_added(told, 4);
    for (Recorder* each : {&a, &b, &c}) {
        list.add(*each);
    }
    EXPECT_TRUE(list.remove(b));
    EXPECT_FALSE(list.remove(b));
    EXPECT_FALSE(list.remove(never_added));
    list.notify_all();
    EXPECT_FALSE(list.remove(a));
    EXPECT_EQ(told, (std::vector<int>{1, 3}));
}

TEST(WaitList, EachPositionCanBeRemovedAndTheWaiterAddedAgain) {
    for (int removed = 0; removed < 3; ++removed) {
        std::vector<int> told;
        WaitList list;
        Recorder waiters[] = {Recorder(told, 0), Recorder(told, 1), Recorder(told, 2)};
        for (Recorder& each : waiters) {
            list.add(each);
        }
        list.remove(waiters[removed]);
        list.add(waiters[removed]);
        list.notify_all();
        ASSERT_EQ(told.size(), 3U);
        EXPECT_EQ(told.back(), removed);
    }
}

TEST(ThreadWaiter, ANotificationThatCameFirstIsNotMissed) {
    WaitList list;
    ThreadWaiter waiter;
    list.add(waiter);
    EXPECT_FALSE(waiter.notified());
    list.notify_all();
    EXPECT_TRUE(waiter.notified());
    EXPECT_EQ(waiter.wait_until(kNever), ParkResult::unparked);
    EXPECT_TRUE(waiter.notified());
    EXPECT_EQ(waiter.wait_until(kNever), ParkResult::unparked);
    EXPECT_FALSE(list.remove(waiter));
}

TEST(ThreadWaiter, TimesOutAndCanStillBeTold) {
    WaitList list;
    ThreadWaiter waiter;
    list.add(waiter);
    EXPECT_EQ(waiter.wait_until(TimePoint::min()), ParkResult::timed_out);
    list.notify_all();
    EXPECT_EQ(waiter.wait_until(kNever), ParkResult::unparked);
}

TEST(ThreadWaiter, MoreSleepersThanOneSectionKeepsWakesForAreAllWoken) {
    WaitList list;
    std::atomic<int> woken{0};
    std::atomic<int> added{0};
    std::vector<std::thread> sleepers;
    constexpr int kSleepers = 20;
    for (int i = 0; i < kSleepers; ++i) {
        sleepers.emplace_back([&] {
            ThreadWaiter waiter;
            list.add(waiter);
            ++added;
            waiter.wait_until(kNever);
            list.remove(waiter);
            ++woken;
        });
    }
    ASSERT_TRUE(testing::eventually([&] { return added == kSleepers; }));
    list.notify_all();
    for (std::thread& sleeper : sleepers) {
        sleeper.join();
    }
    EXPECT_EQ(woken, kSleepers);
}

// A waiter and its list are freed as soon as remove() has returned, while the notifier may just be
// leaving: a touch of either after that is a use after free that AddressSanitizer reports.
TEST(WaitList, WhoWasToldMayFreeListAndWaiterAfterRemove) {
    const TimePoint end = testing::stress_end();
    std::atomic<WaitList*> shared{nullptr};
    std::atomic<bool> stop{false};
    std::atomic<std::uint64_t> notified{0};
    std::thread notifier([&] {
        while (!stop) {
            if (WaitList* const list = shared.exchange(nullptr)) {
                list->notify_all();
                ++notified;
            }
        }
    });
    std::uint64_t rounds = 0;
    testing::Random random(testing::stress_seed());
    while (std::chrono::steady_clock::now() < end) {
        auto list = std::make_unique<WaitList>();
        auto waiter = std::make_unique<ThreadWaiter>();
        list->add(*waiter);
        shared = list.get();
        while (waiter->wait_until(random.one_in(4) ? std::chrono::steady_clock::now() : kNever) !=
               ParkResult::unparked) {
        }
        EXPECT_FALSE(list->remove(*waiter));
        waiter.reset();
        list.reset();
        ++rounds;
    }
    stop = true;
    notifier.join();
    EXPECT_EQ(notified, rounds);
}

// Seen to fail when broken on purpose: a list that looks at its ring in the child reads, and
// writes, where other things are by then.
TEST(WaitList, InAChildNobodyWaitsWhoseStackIsGone) {
    set_fork_hooks(ForkStage::client, {});  // as any pool does: from here on forks are counted
    std::vector<int> told;
    WaitList list;
    alignas(Recorder) unsigned char stack[2 * sizeof(Recorder)];
    auto* const first = new (stack) Recorder(told, 1);
    auto* const second = new (stack + sizeof(Recorder)) Recorder(told, 2);
    list.add(*first);
    list.add(*second);
    EXPECT_TRUE(testing::in_child([&] {
        constexpr unsigned char kSomethingElse = 0x5a;
        std::fill(std::begin(stack), std::end(stack), kSomethingElse);
        std::vector<int> told_here;
        Recorder here(told_here, 3);
        const bool was_empty = list.empty() && !list.notify_one();
        list.add(here);
        const bool has_one = !list.empty();
        list.notify_all();
        return was_empty && has_one && list.empty() && told.empty() &&
               told_here == std::vector{3} &&
               std::count(std::begin(stack), std::end(stack), kSomethingElse) == sizeof stack;
    }));
    list.notify_all();
    EXPECT_EQ(told, (std::vector<int>{1, 2}));
    first->~Recorder();
    second->~Recorder();
}

TEST(WaitList, AWaiterOfTheParentIsLeftAloneInAChild) {
    set_fork_hooks(ForkStage::client, {});
    std::vector<int> told;
    WaitList list;
    Recorder inherited(told, 1);
    list.add(inherited);
    EXPECT_TRUE(testing::in_child([&] {
        Recorder here(told, 2);
        list.add(here);
        return !list.remove(inherited) && list.remove(here) && list.empty();
    }));
    EXPECT_TRUE(list.remove(inherited));
}

TEST(StopToken, ASleepEndsAtItsDeadlineWithoutAStop) {
    StopToken token;
    EXPECT_FALSE(token.stop_requested());
    EXPECT_EQ(token.sleep_until(std::chrono::steady_clock::now()), ParkResult::timed_out);
}

TEST(StopToken, AStopEndsEverySleepAndThoseThatBeginLater) {
    StopToken token;
    std::atomic<int> begun{0};
    std::vector<std::thread> sleepers;
    for (int i = 0; i < 4; ++i) {
        sleepers.emplace_back([&] {
            ++begun;
            EXPECT_EQ(token.sleep_until(kNever), ParkResult::unparked);
        });
    }
    ASSERT_TRUE(testing::eventually([&] { return begun == 4; }));
    token.request_stop();
    for (std::thread& sleeper : sleepers) {
        sleeper.join();
    }
    EXPECT_TRUE(token.stop_requested());
    EXPECT_EQ(token.sleep_until(kNever), ParkResult::unparked);
}

}  // namespace
}  // namespace gilpool::core
