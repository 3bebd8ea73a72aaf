// Whether a pool has nothing left to do, nor anybody who might still find something.
// Any thread.
#pragma once

#include "core/pool.hpp"
#include "core/stats.hpp"

namespace gilpool::testing {

/// all_idle() is true if every worker is parked. After a job has ended its worker looks for more
/// for a while, and for longer than quiesce() and fork() wait for it if another process has its
/// core: so a test that counts threads after those waits for this, not for `running == 0`.
inline bool all_idle(const core::Pool& pool) {
    const core::PoolStats now = pool.stats();
    return now.idle == now.threads;
}

}  // namespace gilpool::testing
