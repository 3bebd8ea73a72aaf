// bindings/visitors.cpp: finds visitors in procfs, by their native ids.
#include "bindings/visitors.hpp"

#include <algorithm>
#include <array>
#include <atomic>
#include <span>

#include "bindings/admission_state.hpp"
#include "bindings/computing.hpp"
#include "bindings/gil_waiters.hpp"
#include "bindings/gil_words.hpp"
#include "core/native_thread.hpp"

namespace gilpool::bindings {

namespace {

using std::chrono::microseconds;
using std::chrono::milliseconds;
using std::chrono::nanoseconds;

/// How long a visitor waits before the GIL is asked for. A switch in the middle of a task costs
/// 60-90 us: at this pace 3 % of the work.
constexpr microseconds kPatience{1'500};
/// A known visitor is looked at so often, which takes 10 us each time; and who has not been seen
/// waiting for so long comes too rarely to be worth that.
constexpr microseconds kLookEvery{400};
constexpr milliseconds kForgottenAfter{10};
/// Of several runners that take turns another one may get what was asked for, and has it so long.
constexpr milliseconds kBetweenPleas{1};
/// While none is known and a task lasts, all threads are looked at so often; and twice as rarely
/// after each time that somebody kept the GIL.
constexpr milliseconds kSearchEvery{20};
constexpr int kMostFailures = 6;
/// A runner that was asked and has the GIL back after that time: a visitor had it.
constexpr milliseconds kVisitLasts{2};

/// Workers by native id. Two that share a bit, of ours and not, make a visitor wait like others.
class WorkerMarks {
  public:
    void set(int native_id) { word_of(native_id).fetch_or(bit_of(native_id)); }
    void clear(int native_id) { word_of(native_id).fetch_and(~bit_of(native_id)); }
    bool has(int native_id) { return (word_of(native_id).load() & bit_of(native_id)) != 0; }
    void clear_all() {
        for (std::atomic<std::uint64_t>& word : words_) {
            word.store(0);
        }
    }

  private:
    static constexpr unsigned kWords = 1'024;
    static constexpr unsigned kBits = 64;

    std::atomic<std::uint64_t>& word_of(int native_id) {
        return words_[static_cast<unsigned>(native_id) / kBits % kWords];
    }
    static std::uint64_t bit_of(int native_id) {
        return std::uint64_t{1} << (static_cast<unsigned>(native_id) % kBits);
    }

    std::array<std::atomic<std::uint64_t>, kWords> words_{};
};

WorkerMarks g_workers;
std::atomic<std::uint64_t> g_pleas{0};

// The spare's.
std::array<int, 4> g_visitors{};
std::size_t g_known = 0;
int g_failures = 0;
core::TimePoint g_searched_at;
core::TimePoint g_seen_at;
core::TimePoint g_asked_at;
const PyThreadState* g_asked = nullptr;  ///< who was asked last, until the GIL goes round
core::TimePoint g_waits_since = core::kNever;
unsigned long g_switches = 0;

int own_native_id() {
    return static_cast<int>(core::kernel_id());
}

/// Threads that are in the queue for the GIL while a task lasts are taken for visitors until they
/// turn out not to be.
void search(core::TimePoint now) {
    const core::TimePoint::rep progress = g_admission.last_progress.load(std::memory_order_relaxed);
    const bool task_lasts = ticks(now) - progress > core::TimePoint::duration(kPatience).count();
    if (task_lasts && now - g_searched_at > kSearchEvery * (1 << g_failures)) {
        g_searched_at = now;
        g_known = find_in_queue(g_visitors, [](int native_id) { return g_workers.has(native_id); });
        g_seen_at = now;
    }
}

bool some_visitor_waits() {
    const auto known = std::span(g_visitors).first(g_known);
    return std::any_of(known.begin(), known.end(), [](int native_id) {
        return look_where_asleep(native_id) == Asleep::in_queue;
    });
}

void forget() {
    g_known = 0;
    g_waits_since = core::kNever;
    g_asked = nullptr;
}

/// The GIL has gone round. Who waited may have been served and wait anew; but if, of several
/// runners, another one got what was asked for, it still waits.
void note_switches(const PyThreadState* holder, core::TimePoint now) {
    if (g_asked == nullptr || holder == g_asked) {
        g_waits_since = core::kNever;
    }
    if (holder == g_asked && now - g_asked_at < kVisitLasts) {
        g_failures = 0;
    }
    g_asked = nullptr;
}

}  // namespace

void mark_as_worker() {
    g_workers.set(own_native_id());
}

void unmark_as_worker() {
    g_workers.clear(own_native_id());
}

nanoseconds attend_visitors(core::TimePoint now) {
    if (!gil_waiters_are_visible()) {
        return nanoseconds::max();
    }
    if (g_known == 0) {
        search(now);
    }
    if (g_known == 0) {
        return nanoseconds::max();
    }
    const unsigned long switches = gil_switches();
    const PyThreadState* const holder = gil_holder();
    if (switches != g_switches) {
        g_switches = switches;
        note_switches(holder, now);
    }
    if (!some_visitor_waits()) {
        g_waits_since = core::kNever;
        if (now - g_seen_at > kForgottenAfter) {
            forget();
        }
        return kLookEvery;
    }
    g_seen_at = now;
    g_waits_since = std::min(g_waits_since, now);
    const nanoseconds patience = std::max<nanoseconds>(kPatience - (now - g_waits_since),
                                                       kBetweenPleas - (now - g_asked_at));
    if (patience > nanoseconds(0)) {
        return std::min<nanoseconds>(kLookEvery, patience);
    }
    if (holder != nullptr && is_of_listed_runner(holder) && ask_for_gil(holder, switches)) {
        g_pleas.store(g_pleas.load(std::memory_order_relaxed) + 1, std::memory_order_relaxed);
        g_asked_at = now;
        g_asked = holder;
    }
    return kLookEvery;
}

void note_foreign_holder() {
    if (g_asked != nullptr) {
        forget();
        g_failures = std::min(g_failures + 1, kMostFailures);
    }
}

bool gil_is_promised_to_visitor() {
    return g_asked != nullptr && gil_switches() == g_switches;
}

std::uint64_t pleas_for_visitors() {
    return g_pleas.load(std::memory_order_relaxed);
}

void forget_visitors() {
    g_workers.clear_all();
    forget();
}

}  // namespace gilpool::bindings
