// bindings/gil_words.cpp: where each CPython version keeps the words, and their self-test.
#define Py_BUILD_CORE_MODULE 1
#define Py_BUILD_CORE 1
#include "bindings/gil_words.hpp"

#include <atomic>

#include "bindings/compat.hpp"
#include "bindings/gil.hpp"

// The internal headers are written for C: C's own atomics do not compile as C++, the compiler's
// builtins, which 3.12 takes otherwise, do and have the same layout.
#undef HAVE_STD_ATOMIC
#if PY_VERSION_HEX >= 0x030C0000
#include <internal/pycore_interp.h>
#define GILPOOL_READS_GIL_STRUCT 1
#else
#include <internal/pycore_runtime.h>
#endif

namespace gilpool::bindings {

namespace {

enum class Readable : int { untried, yes, no };
std::atomic<Readable> g_readable{Readable::untried};

#ifdef GILPOOL_READS_GIL_STRUCT
/// Of the one interpreter there is. Set by the first call, before any other thread can ask.
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

void find_words() {
#ifdef GILPOOL_READS_GIL_STRUCT
    g_gil = PyInterpreterState_Get()->ceval.gil;
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
    const void* const last_holder = &g_gil->last_holder;
    return *static_cast<PyThreadState* const volatile*>(last_holder);
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
    const auto begin = reinterpret_cast<std::uintptr_t>(&gil_struct());
    return address >= begin && address < begin + sizeof gil_struct();
}

void set_switch_interval_without_gil(unsigned long microseconds) {
    *static_cast<volatile unsigned long*>(&gil_struct().interval) = microseconds;
}

}  // namespace gilpool::bindings
