// The reactor's descriptor waits: readiness, deadlines, refusals, and numbers that are used again.
// On real pipes and sockets and a clock that the test moves.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <chrono>
#include <cstdint>
#include <deque>
#include <utility>
#include <vector>

#include "core/notifying_wait.hpp"
#include "core/reactor.hpp"
#include "support/eventually.hpp"
#include "support/fake_clock.hpp"
#include "support/reactor_sink.hpp"

namespace gilpool::core {
namespace {

using namespace std::chrono_literals;
using testing::eventually;
using testing::FakeClock;
using testing::ReactorSink;

/// A descriptor that closes itself.
class Fd {
  public:
    explicit Fd(int fd) : fd_(fd) { EXPECT_GE(fd, 0); }
    Fd(Fd&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
    ~Fd() { close(); }
    Fd& operator=(Fd&&) = delete;

    int get() const { return fd_; }
    void close() {
        if (fd_ >= 0) {
            ::close(std::exchange(fd_, -1));
        }
    }

  private:
    int fd_;
};

struct Pipe {
    explicit Pipe(std::array<int, 2> ends = make()) : out(ends[0]), in(ends[1]) {}

    static std::array<int, 2> make() {
        std::array<int, 2> ends{-1, -1};
        EXPECT_EQ(::pipe2(ends.data(), O_CLOEXEC | O_NONBLOCK), 0);
        return ends;
    }
    void write() { EXPECT_EQ(::write(in.get(), "x", 1), 1); }
    void fill() {
        const std::vector<char> block(4096);
        while (::write(in.get(), block.data(), block.size()) > 0) {
        }
    }

    Fd out;
    Fd in;
};

class ReactorFdTest : public ::testing::Test {
  protected:
    ReactorFdTest() {
        clock.on_move([this] { reactor.look_again(); });
    }

    ~ReactorFdTest() override { reactor.shutdown(); }

    /// Waits that live as long as the fixture, as they may be armed when a test ends.
    FdWait& reads(int fd) { return waits.emplace_back(sink.client(), fd, Direction::read); }
    FdWait& writes(int fd) { return waits.emplace_back(sink.client(), fd, Direction::write); }

    ArmResult arm(FdWait& wait, Duration delay = Duration::max()) {
        return reactor.arm_fd(wait, deadline_after(clock.now(), delay));
    }

    /// Returns when the reactor has taken every event that the kernel had before the call: events
    /// come in the order in which they happened.
    void let_reactor_look() {
        Pipe probe;
        FdWait& wait = reads(probe.out.get());
        ASSERT_EQ(arm(wait), ArmResult::armed);
        probe.write();
        ASSERT_TRUE(sink.wait_for(wait));
        reactor.forget(probe.out.get());
    }

    FakeClock clock;
    std::deque<FdWait> waits;
    Reactor reactor{clock};
    ReactorSink sink{reactor};
};

TEST_F(ReactorFdTest, EndsAReadWaitWhenThereIsSomethingToRead) {
    Pipe pipe;
    FdWait& wait = reads(pipe.out.get());
    ASSERT_EQ(arm(wait), ArmResult::armed);
    let_reactor_look();
    EXPECT_EQ(sink.times(wait), 0u);
    pipe.write();
    ASSERT_TRUE(sink.wait_for(wait));
    EXPECT_EQ(wait.result(), WaitEnd::ready);
    // Still readable: a wait armed now ends at once.
    ASSERT_EQ(arm(wait), ArmResult::armed);
    let_reactor_look();
    EXPECT_EQ(sink.times(wait), 2u);
}

TEST_F(ReactorFdTest, EndsAWriteWaitWhenThereIsRoom) {
    Pipe pipe;
    pipe.fill();
    FdWait& wait = writes(pipe.in.get());
    ASSERT_EQ(arm(wait), ArmResult::armed);
    let_reactor_look();
    EXPECT_EQ(sink.times(wait), 0u);
    std::array<char, 65536> drained;
    while (::read(pipe.out.get(), drained.data(), drained.size()) > 0) {
    }
    ASSERT_TRUE(sink.wait_for(wait));
    EXPECT_EQ(wait.result(), WaitEnd::ready);
}

TEST_F(ReactorFdTest, AHangUpEndsReadersAndWriters) {
    Pipe first;
    FdWait& reader = reads(first.out.get());
    ASSERT_EQ(arm(reader), ArmResult::armed);
    Pipe second;
    second.fill();
    FdWait& writer = writes(second.in.get());
    ASSERT_EQ(arm(writer), ArmResult::armed);
    first.in.close();
    second.out.close();
    ASSERT_TRUE(sink.wait_for(reader));
    ASSERT_TRUE(sink.wait_for(writer));
    EXPECT_EQ(reader.result(), WaitEnd::ready);
    EXPECT_EQ(writer.result(), WaitEnd::ready);
}

TEST_F(ReactorFdTest, AReaderAndAWriterOfOneSocketEndApart) {
    std::array<int, 2> ends{};
    ASSERT_EQ(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, ends.data()), 0);
    Fd mine(ends[0]);
    Fd theirs(ends[1]);
    const std::vector<char> block(4096);
    while (::write(mine.get(), block.data(), block.size()) > 0) {
    }
    FdWait& reader = reads(mine.get());
    FdWait& writer = writes(mine.get());
    ASSERT_EQ(arm(reader), ArmResult::armed);
    ASSERT_EQ(arm(writer), ArmResult::armed);
    // The event for the reader silences the descriptor; the writer must still hear of room.
    ASSERT_EQ(::write(theirs.get(), "x", 1), 1);
    ASSERT_TRUE(sink.wait_for(reader));
    let_reactor_look();
    EXPECT_EQ(sink.times(writer), 0u);
    std::array<char, 65536> drained;
    while (::read(theirs.get(), drained.data(), drained.size()) > 0) {
    }
    ASSERT_TRUE(sink.wait_for(writer));
    EXPECT_EQ(sink.times(reader), 1u);
    EXPECT_EQ(sink.times(writer), 1u);
}

TEST_F(ReactorFdTest, ADeadlineEndsTheWaitAndTheDescriptorCanBeWaitedForAgain) {
    Pipe pipe;
    FdWait& wait = reads(pipe.out.get());
    ASSERT_EQ(arm(wait, 1s), ArmResult::armed);
    clock.advance(1s);
    ASSERT_TRUE(sink.wait_for(1));
    EXPECT_EQ(wait.result(), WaitEnd::due);
    ASSERT_EQ(arm(wait, 1h), ArmResult::armed);
    pipe.write();
    ASSERT_TRUE(sink.wait_for(2));
    EXPECT_EQ(wait.result(), WaitEnd::ready);
    clock.advance(2h);
    let_reactor_look();
    EXPECT_EQ(sink.times(wait), 2u);
}

TEST_F(ReactorFdTest, RefusesWhatCannotBeWaitedForAndLeavesItIdle) {
    Fd file(::memfd_create("a file like any other", MFD_CLOEXEC));
    EXPECT_EQ(arm(reads(file.get())), ArmResult::not_pollable);
    EXPECT_EQ(arm(reads(-1)), ArmResult::bad_descriptor);
    EXPECT_EQ(arm(reads(1 << 30)), ArmResult::bad_descriptor);
    Pipe pipe;
    const int closed = pipe.out.get();
    pipe.out.close();
    EXPECT_EQ(arm(reads(closed)), ArmResult::bad_descriptor);
    EXPECT_EQ(reactor.stats().armed, 0u);
    EXPECT_EQ(reactor.stats().armed_descriptors, 0u);
    for (FdWait& wait : waits) {
        EXPECT_FALSE(reactor.cancel(wait));
    }
}

TEST_F(ReactorFdTest, RefusesASecondReaderAndKeepsTheFirst) {
    Pipe pipe;
    FdWait& first = reads(pipe.out.get());
    ASSERT_EQ(arm(first), ArmResult::armed);
    EXPECT_EQ(arm(first), ArmResult::busy);
    EXPECT_EQ(arm(reads(pipe.out.get())), ArmResult::busy);
    pipe.write();
    ASSERT_TRUE(sink.wait_for(first));
    EXPECT_EQ(sink.arrivals().size(), 1u);
}

TEST_F(ReactorFdTest, ACancelledWaitIsNotHandedOverAndMakesRoomForAnother) {
    Pipe pipe;
    FdWait& cancelled = reads(pipe.out.get());
    ASSERT_EQ(arm(cancelled, 1s), ArmResult::armed);
    EXPECT_TRUE(reactor.cancel(cancelled));
    pipe.write();
    clock.advance(1s);
    let_reactor_look();
    EXPECT_EQ(sink.times(cancelled), 0u);
    FdWait& next = reads(pipe.out.get());
    ASSERT_EQ(arm(next), ArmResult::armed);
    EXPECT_TRUE(sink.wait_for(next));
}

TEST_F(ReactorFdTest, ForgetEndsWhoWaits) {
    Pipe pipe;
    FdWait& wait = reads(pipe.out.get());
    ASSERT_EQ(arm(wait, 1h), ArmResult::armed);
    ASSERT_TRUE(eventually([&] { return reactor.stats().asleep; }));
    reactor.forget(pipe.out.get());
    ASSERT_TRUE(sink.wait_for(wait));
    EXPECT_EQ(wait.result(), WaitEnd::closed);
    reactor.forget(pipe.out.get());
    reactor.forget(-1);
    reactor.forget(1 << 30);
    ASSERT_EQ(arm(wait), ArmResult::armed);
    pipe.write();
    EXPECT_TRUE(sink.wait_for(2));
    EXPECT_EQ(wait.result(), WaitEnd::ready);
}

TEST_F(ReactorFdTest, AClosedNumberThatIsUsedAgainEndsTheOldWaitAndServesTheNew) {
    Pipe old;
    const int number = old.out.get();
    FdWait& forgotten_reader = reads(number);
    ASSERT_EQ(arm(forgotten_reader, 1h), ArmResult::armed);
    old.out.close();
    Pipe fresh;
    Fd reused(::dup2(fresh.out.get(), number));
    ASSERT_EQ(reused.get(), number);
    FdWait& wait = reads(number);
    ASSERT_EQ(arm(wait), ArmResult::armed);
    ASSERT_TRUE(sink.wait_for(forgotten_reader));
    EXPECT_EQ(forgotten_reader.result(), WaitEnd::closed);
    EXPECT_EQ(sink.times(wait), 0u);
    fresh.write();
    ASSERT_TRUE(sink.wait_for(wait));
    EXPECT_EQ(wait.result(), WaitEnd::ready);
}

TEST_F(ReactorFdTest, AFileThatLivesOnUnderAnotherNumberDoesNotEndTheWaitForItsOldOne) {
    Pipe old;
    const int number = old.out.get();
    Fd elsewhere(::dup(number));  // keeps the old file, and so its place in the kernel's set
    FdWait& stale = reads(number);
    ASSERT_EQ(arm(stale), ArmResult::armed);
    Pipe fresh;
    ASSERT_EQ(::dup2(fresh.out.get(), number), number);
    FdWait& wait = reads(number);
    ASSERT_EQ(arm(wait), ArmResult::armed);
    ASSERT_TRUE(sink.wait_for(stale));
    EXPECT_EQ(stale.result(), WaitEnd::closed);
    old.write();
    let_reactor_look();
    EXPECT_EQ(sink.times(wait), 0u);
    fresh.write();
    EXPECT_TRUE(sink.wait_for(wait));
}

TEST_F(ReactorFdTest, AFileThatComesBackToItsNumberCanBeWaitedFor) {
    Pipe pipe;
    const int number = pipe.out.get();
    Fd elsewhere(::dup(number));
    ASSERT_EQ(arm(reads(number)), ArmResult::armed);
    Pipe other;
    ASSERT_EQ(::dup2(other.out.get(), number), number);
    ASSERT_EQ(arm(reads(number)), ArmResult::armed);
    reactor.forget(number);
    ASSERT_EQ(::dup2(elsewhere.get(), number), number);
    FdWait& wait = reads(number);
    ASSERT_EQ(arm(wait), ArmResult::armed);
    pipe.write();
    ASSERT_TRUE(sink.wait_for(wait));
    EXPECT_EQ(wait.result(), WaitEnd::ready);
}

TEST_F(ReactorFdTest, ShutdownEndsDescriptorWaitsWithAndWithoutDeadline) {
    Pipe first;
    Pipe second;
    ASSERT_EQ(arm(reads(first.out.get())), ArmResult::armed);
    ASSERT_EQ(arm(reads(second.out.get()), 1h), ArmResult::armed);
    EXPECT_EQ(reactor.stats().armed_descriptors, 2u);
    reactor.shutdown();
    ASSERT_EQ(sink.arrivals().size(), 2u);
    EXPECT_EQ(waits[0].result(), WaitEnd::shut_down);
    EXPECT_EQ(waits[1].result(), WaitEnd::shut_down);
    EXPECT_EQ(reactor.stats().armed, 0u);
}

TEST_F(ReactorFdTest, TellsTheWaitersOfANotifyingFdWait) {
    Pipe pipe;
    NotifyingFdWait wait(pipe.out.get(), Direction::read);
    ThreadWaiter waiter;
    wait.waiters().add(waiter);
    ASSERT_EQ(reactor.arm_fd(wait), ArmResult::armed);
    pipe.write();
    EXPECT_EQ(waiter.wait_until(kNever), ParkResult::unparked);
    EXPECT_FALSE(reactor.cancel(wait));
    EXPECT_EQ(wait.result(), WaitEnd::ready);
}

TEST_F(ReactorFdTest, OneThreadServesTenThousandDescriptorsWithDeadlines) {
    constexpr std::size_t kCount = 10'000;
    rlimit limit{};
    ASSERT_EQ(::getrlimit(RLIMIT_NOFILE, &limit), 0);
    if (limit.rlim_max < kCount + 100) {
        GTEST_SKIP() << "this process may have " << limit.rlim_max << " descriptors only";
    }
    const rlim_t before = limit.rlim_cur;
    limit.rlim_cur = limit.rlim_max;
    ASSERT_EQ(::setrlimit(RLIMIT_NOFILE, &limit), 0);
    {
        std::vector<Fd> counters;
        counters.reserve(kCount);
        for (std::size_t i = 0; i < kCount; ++i) {
            counters.emplace_back(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
            ASSERT_EQ(arm(reads(counters.back().get()), 1s + i * 1us), ArmResult::armed);
        }
        EXPECT_EQ(reactor.stats().armed_descriptors, kCount);
        for (std::size_t i = 0; i < kCount; i += 2) {
            const std::uint64_t one = 1;
            ASSERT_EQ(::write(counters[i].get(), &one, sizeof one), 8);
        }
        ASSERT_TRUE(sink.wait_for(kCount / 2));
        clock.advance(2s);
        ASSERT_TRUE(sink.wait_for(kCount));
        EXPECT_EQ(sink.arrivals().size(), kCount);
        for (std::size_t i = 0; i < kCount; ++i) {
            ASSERT_EQ(waits[i].result(), i % 2 == 0 ? WaitEnd::ready : WaitEnd::due);
        }
        EXPECT_EQ(reactor.stats().threads_started, 1u);
        EXPECT_EQ(reactor.stats().armed, 0u);
    }
    limit.rlim_cur = before;
    ASSERT_EQ(::setrlimit(RLIMIT_NOFILE, &limit), 0);
}

}  // namespace
}  // namespace gilpool::core
