// kernels/guarded.hpp: the boundary that no exception passes. Any thread.
#pragma once

#include <new>
#include <stdexcept>

#include "kernels/result.hpp"

namespace gilpool::kernels {

/// What `body` returns, a Result; exceptions of the library below it become an Error.
template <class Body>
auto guarded(Body body) noexcept -> decltype(body()) {
    try {
        return body();
    } catch (const std::bad_alloc&) {
        return Error{ErrorKind::memory};
    } catch (const std::length_error&) {
        return Error{ErrorKind::overflow, 0, "result too large"};
    }
}

}  // namespace gilpool::kernels
