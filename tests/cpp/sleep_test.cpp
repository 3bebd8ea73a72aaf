// The experiment's plain sleep: not short, and open to signals.
#include "kernels/sleep.hpp"

#include <gtest/gtest.h>
#include <pthread.h>
#include <signal.h>

#include <atomic>
#include <thread>

namespace gilpool::kernels {
namespace {

using namespace std::chrono_literals;
using Clock = std::chrono::steady_clock;

TEST(Sleep, NeverEndsBeforeTheDeadline) {
    const auto deadline = Clock::now() + 20ms;
    EXPECT_TRUE(sleep_until(deadline));
    EXPECT_GE(Clock::now(), deadline);
}

TEST(Sleep, DeadlineInThePastReturnsAtOnce) {
    EXPECT_TRUE(sleep_until(Clock::now() - 1h));
}

TEST(Sleep, SignalEndsItEarly) {
    struct sigaction action{};
    action.sa_handler = [](int) {};
    struct sigaction before{};
    sigaction(SIGUSR1, &action, &before);
    std::atomic<bool> interrupted{false};
    std::thread sleeper([&] {
        while (sleep_until(Clock::now() + 1h)) {
        }
        interrupted.store(true);
    });
    while (!interrupted.load()) {
        pthread_kill(sleeper.native_handle(), SIGUSR1);
        std::this_thread::yield();
    }
    sleeper.join();
    sigaction(SIGUSR1, &before, nullptr);
}

}  // namespace
}  // namespace gilpool::kernels
