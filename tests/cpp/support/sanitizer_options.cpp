// Defaults of the sanitizers for every test program.

// A forked child starts threads of its own in the fork tests; by default ThreadSanitizer ends it
// there.
extern "C" const char* __tsan_default_options() {
    return "die_after_fork=0";
}

// The process's reactor is never destroyed: when its thread has ended because nothing was armed for
// ten seconds, it is joined by whoever arms something next, and at exit by nobody. That is at most
// one thread; that there are no more is asserted by the tests that count the kernel's threads.
extern "C" const char* __tsan_default_suppressions() {
    return "thread:gilpool::core::Reactor::start_thread\n";
}
