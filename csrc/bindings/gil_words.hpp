// bindings/gil_words.hpp: may we believe what compat.hpp's holds_gil() reads on this interpreter?
#pragma once

namespace gilpool::bindings {

/// Tries holds_gil() on the calling thread: held must read as held, and released as released.
/// Called with the GIL held; releases it for a moment. The words are private to CPython, so each
/// build is tried.
bool gil_words_are_readable();

}  // namespace gilpool::bindings
