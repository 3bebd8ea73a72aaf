// bindings/runner.cpp: makes, recycles and finds Runners.
#include "bindings/runner.hpp"

#include <pthread.h>

#include "core/native_thread.hpp"

namespace gilpool::bindings {

namespace {

constinit thread_local Runner* t_runner = nullptr;
Runner* g_free = nullptr;  // GIL

}  // namespace

void name_thread_of(Runner* runner) {
    clockid_t clock{};
    pthread_getcpuclockid(pthread_self(), &clock);
    runner->cpu_clock.store(clock);
    runner->native_id.store(static_cast<int>(core::kernel_id()));
}

Runner* own_runner() {
    if (t_runner != nullptr) {
        return t_runner;
    }
    Runner* runner = g_free;
    if (runner != nullptr) {
        g_free = runner->next_free;
    } else {
        runner = new Runner;
    }
    name_thread_of(runner);
    runner->state = PyThreadState_Get();
    runner->term.store(0);
    runner->task.store(0);
    t_runner = runner;
    return runner;
}

void give_back_runner() {
    if (t_runner != nullptr) {
        t_runner->state = nullptr;  // which may be another thread's soon
        t_runner->next_free = g_free;
        g_free = t_runner;
        t_runner = nullptr;
    }
}

bool is_runner_thread() {
    return t_runner != nullptr;
}

}  // namespace gilpool::bindings
