// Very many sleeps of one second, each for "now + 1 s" by its own clock: total time, lateness,
// memory.
#include <chrono>
#include <cmath>
#include <cstddef>
#include <latch>
#include <memory>
#include <thread>
#include <vector>

#include "contests.hpp"
#include "core/reactor.hpp"
#include "peers/textbook_timer.hpp"
#include "usage.hpp"

namespace gilpool::benchmarks {
namespace {

using Clock = std::chrono::steady_clock;

/// When each sleep was to end and how late it was. Its memory is touched when it is made, so that
/// it does not count as the contestant's. Each sleep has a place of its own: no lock.
class Ledger {
  public:
    Ledger(std::size_t number, Clock::duration length)
        : length_(length),
          deadlines_(number),
          late_us_(number, std::nanf("")),
          left_(static_cast<std::ptrdiff_t>(number)) {}

    std::size_t number() const { return deadlines_.size(); }

    /// begin() says that sleep `index` begins now, and returns when it is to end.
    Clock::time_point begin(std::size_t index) {
        return deadlines_[index] = Clock::now() + length_;
    }
    void end(std::size_t index, Clock::time_point now) {
        late_us_[index] = std::chrono::duration<float, std::micro>(now - deadlines_[index]).count();
    }
    void count_down(std::ptrdiff_t ended) { left_.count_down(ended); }
    void wait() { left_.wait(); }

    void report(benchmark::State& state) {
        for (const float late : late_us_) {
            if (!(late >= 0)) {
                state.SkipWithError(std::isnan(late) ? "a sleep did not end"
                                                     : "a sleep ended early");
                return;
            }
        }
        state.counters["late_p50_ms"] = percentile(late_us_, 0.50) / 1000;
        state.counters["late_p99_ms"] = percentile(late_us_, 0.99) / 1000;
    }

  private:
    const Clock::duration length_;
    std::vector<Clock::time_point> deadlines_;
    std::vector<float> late_us_;
    std::latch left_;
};

/// A way to sleep: made with the ledger, start() begins every sleep, the destructor cleans up.
template <class Way>
void sleeps(benchmark::State& state) {
    for ([[maybe_unused]] auto _ : state) {
        Ledger ledger(static_cast<std::size_t>(state.range(0)),
                      std::chrono::milliseconds(state.range(1)));
        const MemoryGrowth memory;
        const Stretch stretch;
        Way way(ledger);
        const bool started = way.start();
        state.counters["arm_ns"] = stretch.seconds() * 1e9 / static_cast<double>(ledger.number());
        if (!started) {
            state.SkipWithError("a sleep could not be armed");
            return;
        }
        ledger.wait();
        stretch.report(state);
        state.counters["megabytes"] = memory.megabytes();
        ledger.report(state);
    }
}

/// The reactor: one array of waits, so that a wait's place tells its number.
class InReactor {
  public:
    explicit InReactor(Ledger& ledger)
        : ledger_(ledger), client_(reactor_.add_client(&InReactor::on_end, this)) {
        std::allocator<core::TimedWait> allocator;
        waits_ = allocator.allocate(ledger.number());
        for (std::size_t i = 0; i < ledger.number(); ++i) {
            std::construct_at(waits_ + i, client_);
        }
    }
    ~InReactor() {
        reactor_.shutdown();
        std::destroy_n(waits_, ledger_.number());
        std::allocator<core::TimedWait>().deallocate(waits_, ledger_.number());
    }
    InReactor(const InReactor&) = delete;
    InReactor& operator=(const InReactor&) = delete;

  protected:
    Ledger& ledger_;
    core::Reactor reactor_;
    core::TimedWait* waits_ = nullptr;

  private:
    /// A batch is at most some thousand waits, so one look at the clock serves all of them.
    static void on_end(core::TimedWait* first, void* context) noexcept {
        const auto& own = *static_cast<InReactor*>(context);
        const auto now = Clock::now();
        std::ptrdiff_t ended = 0;
        for (const core::TimedWait* wait = first; wait != nullptr; wait = wait->next()) {
            if (wait->result() == core::WaitEnd::due) {
                own.ledger_.end(static_cast<std::size_t>(wait - own.waits_), now);
            }
            ++ended;
        }
        own.ledger_.count_down(ended);
    }

    core::ReactorClient client_;
};

struct OneByOne : InReactor {
    using InReactor::InReactor;
    bool start() {
        for (std::size_t i = 0; i < ledger_.number(); ++i) {
            if (reactor_.arm(waits_[i], ledger_.begin(i)) != core::ArmResult::armed) {
                return false;
            }
        }
        return true;
    }
};

struct ManyAtOnce : InReactor {
    using InReactor::InReactor;
    bool start() {
        std::vector<core::Reactor::Arming> armings;
        armings.reserve(kAtOnce);
        for (std::size_t i = 0; i < ledger_.number(); ++i) {
            armings.push_back({&waits_[i], ledger_.begin(i)});
            if (armings.size() == kAtOnce || i + 1 == ledger_.number()) {
                if (reactor_.arm_many(armings).armed != armings.size()) {
                    return false;
                }
                armings.clear();
            }
        }
        return true;
    }

  private:
    static constexpr std::size_t kAtOnce = 1024;
};

class InTextbookTimer {
  public:
    explicit InTextbookTimer(Ledger& ledger) : ledger_(ledger), sleeps_(ledger.number()) {}
    bool start() {
        for (std::size_t i = 0; i < sleeps_.size(); ++i) {
            sleeps_[i] = {&ledger_, i};
            timer_.call_at(ledger_.begin(i), &Sleep::end, &sleeps_[i]);
        }
        return true;
    }

  private:
    struct Sleep {
        Ledger* ledger;
        std::size_t index;
        static void end(void* self) {
            const auto& sleep = *static_cast<Sleep*>(self);
            sleep.ledger->end(sleep.index, Clock::now());
            sleep.ledger->count_down(1);
        }
    };

    Ledger& ledger_;
    std::vector<Sleep> sleeps_;
    TextbookTimer timer_;
};

class OnThreads {
  public:
    explicit OnThreads(Ledger& ledger) : ledger_(ledger) { threads_.reserve(ledger.number()); }
    bool start() {
        for (std::size_t i = 0; i < ledger_.number(); ++i) {
            const auto deadline = ledger_.begin(i);
            threads_.emplace_back([&ledger = ledger_, i, deadline] {
                std::this_thread::sleep_until(deadline);
                ledger.end(i, Clock::now());
                ledger.count_down(1);
            });
        }
        return true;
    }

  private:
    Ledger& ledger_;
    std::vector<std::jthread> threads_;
};

}  // namespace

void register_sleeps() {
    const Sizes sizes = {{10'000, 1'000}, {100'000, 1'000}, {1'000'000, 1'000}};
    enter("sleeps", "gilpool", sizes, sleeps<OneByOne>);
    enter("sleeps", "gilpool_many", sizes, sleeps<ManyAtOnce>);
    enter("sleeps", "textbook_timer", sizes, sleeps<InTextbookTimer>);
    // The kernel's limits end this one below 100,000.
    enter("sleeps", "thread_each", {{10'000, 1'000}}, sleeps<OnThreads>);
}

}  // namespace gilpool::benchmarks
