// bindings/gil_words.cpp: the self-test of holds_gil().
#include "bindings/gil_words.hpp"

#include "bindings/compat.hpp"
#include "bindings/gil.hpp"

namespace gilpool::bindings {

bool gil_words_are_readable() {
    PyThreadState* const state = PyThreadState_Get();
    constexpr int kRounds = 16;
    for (int round = 0; round < kRounds; ++round) {
        if (!holds_gil(state)) {
            return false;
        }
        bool held_while_released = false;
        {
            const Released released;
            held_while_released = holds_gil(state);
        }
        if (held_while_released) {
            return false;
        }
    }
    return true;
}

}  // namespace gilpool::bindings
