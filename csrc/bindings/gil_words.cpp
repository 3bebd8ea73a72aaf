// bindings/gil_words.cpp: where each CPython version keeps the words, and their self-test.
#define Py_BUILD_CORE_MODULE 1
#define Py_BUILD_CORE 1
#include "bindings/gil_words.hpp"

#include <pthread.h>

#include <atomic>

#include "bindings/compat.hpp"
#include "bindings/gil.hpp"

// The internal headers are written for C: C's own atomics do not compile as C++, the compiler's
// builtins, which 3.12 takes otherwise, do and have the same layout.
#undef HAVE_STD_ATOMIC
#include <internal/pycore_interp.h>
#if PY_VERSION_HEX >= 0x030C0000
#define GILPOOL_READS_GIL_STRUCT 1
#else
#include <internal/pycore_runtime.h>
#endif

namespace gilpool::bindings {

namespace {

constexpr unsigned long kUsualInterval = 5'000;  // microseconds

enum class Readable : int { untried, yes, no };
std::atomic<Readable> g_readable{Readable::untried};

/// The one interpreter there is. Set by the first call, before any other thread can ask.
PyInterpreterState* g_interpreter = nullptr;
#ifdef GILPOOL_READS_GIL_STRUCT
_gil_runtime_state* g_gil = nullptr;
#endif

/// The struct's type differs between versions, its fields do not.
auto& gil_struct() {
#ifdef GILPOOL_READS_GIL_STRUCT
    return *g_gil;
#else
    return _PyRuntime.ceval.gil;
#endif
}

/// Who has the GIL or had it last.
const PyThreadState* last_gil_holder() {
    const void* const last_holder = &gil_struct().last_holder;
    return *static_cast<PyThreadState* const volatile*>(last_holder);
}

void find_words() {
    g_interpreter = PyInterpreterState_Get();
#ifdef GILPOOL_READS_GIL_STRUCT
    g_gil = g_interpreter->ceval.gil;
#endif
}

template <typename Word>
bool lies_in(std::uintptr_t address, const Word& word) {
    const auto begin = reinterpret_cast<std::uintptr_t>(&word);
    return address >= begin && address < begin + sizeof word;
}

/// The interpreter's own mutex around the words.
class WordsLock {
  public:
    WordsLock() { pthread_mutex_lock(&gil_struct().mutex); }
    ~WordsLock() { pthread_mutex_unlock(&gil_struct().mutex); }
    WordsLock(const WordsLock&) = delete;
    WordsLock& operator=(const WordsLock&) = delete;
};

void set_drop_request(PyThreadState* holder) {
#if PY_VERSION_HEX >= 0x030D0000
    constexpr std::uintptr_t kDropRequest = 1;
    __atomic_fetch_or(&holder->eval_breaker, kDropRequest, __ATOMIC_SEQ_CST);
#else
    static_cast<void>(holder);
    const auto set = [](auto& word) {
        __atomic_store_n(reinterpret_cast<int*>(&word), 1, __ATOMIC_SEQ_CST);
    };
    set(g_interpreter->ceval.gil_drop_request);
    set(g_interpreter->ceval.eval_breaker);
#endif
}

bool words_pass_their_test() {
    PyThreadState* const state = PyThreadState_Get();
    constexpr int kRounds = 16;
    for (int round = 0; round < kRounds; ++round) {
        if (gil_holder() != state || !holds_gil(state)) {
            return false;
        }
        bool held_while_released = false;
        {
            const Released released;
            held_while_released = gil_holder() == state || holds_gil(state);
        }
        if (held_while_released) {
            return false;
        }
    }
    return true;
}

}  // namespace

bool gil_words_are_readable() {
    Readable known = g_readable.load(std::memory_order_relaxed);
    if (known == Readable::untried) {
        find_words();
        known = words_pass_their_test() ? Readable::yes : Readable::no;
        g_readable.store(known, std::memory_order_relaxed);
    }
    return known == Readable::yes;
}

void distrust_gil_words() {
    g_readable.store(Readable::no, std::memory_order_relaxed);
}

const PyThreadState* gil_holder() {
#if defined(GILPOOL_READS_GIL_STRUCT)
    // Both fields are plain words to the machine, whatever type a version gives them. The holder is
    // written before, or at latest under the same mutex as, `locked`.
    if (!gil_is_locked()) {
        return nullptr;
    }
    return last_gil_holder();
#else
    return _PyThreadState_UncheckedGet();  // runtime-global up to 3.11: the holder, whoever asks
#endif
}

bool gil_is_locked() {
    return *reinterpret_cast<const volatile int*>(&gil_struct().locked) != 0;
}

unsigned long gil_switches() {
    return *static_cast<const volatile unsigned long*>(&gil_struct().switch_number);
}

bool is_futex_of_gil(std::uintptr_t address) {
    return lies_in(address, gil_struct());
}

bool is_queue_of_gil(std::uintptr_t address) {
    return lies_in(address, gil_struct().cond);
}

bool ask_for_gil(const PyThreadState* holder, unsigned long switches) {
    const WordsLock lock;
    // Whoever waits now leaves the queue with the GIL only, and that would count as a switch.
    if (!gil_is_locked() || last_gil_holder() != holder || gil_switches() != switches ||
        gil_struct().interval > kUsualInterval) {
        return false;
    }
    // Alive: it cannot let the GIL go, let alone end, without the mutex.
    set_drop_request(const_cast<PyThreadState*>(holder));
    return true;
}

void set_switch_interval_without_gil(unsigned long microseconds) {
    *static_cast<volatile unsigned long*>(&gil_struct().interval) = microseconds;
}

}  // namespace gilpool::bindings
