// Defaults of the sanitizers for every test program.

// A forked child starts threads of its own in the fork tests; by default ThreadSanitizer ends it
// there.
extern "C" const char* __tsan_default_options() {
    return "die_after_fork=0";
}
