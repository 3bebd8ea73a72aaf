// bindings/spread.hpp: one loop on several threads of the pool. Any thread, without the GIL or with
// it: the helpers never want it.
#pragma once

#include <cstddef>

#include "core/pool.hpp"

namespace gilpool::bindings {

/// A loop over [0, count) in pieces. It outlives spread(), which returns when every piece is done.
class SpreadLoop {
  public:
    /// Does [begin, end); false: the rest need not be done. On several threads at once.
    virtual bool piece(std::size_t begin, std::size_t end) noexcept = 0;

  protected:
    ~SpreadLoop() = default;
};

/// Runs the loop on the calling thread and as many others of `lane` as are worth it and to be had.
/// Pieces are small enough that all end at about the same time, but not shorter than
/// `shortest_piece`, which is at least 1: what pays for a hand-over to another thread.
void spread(SpreadLoop& loop, std::size_t count, std::size_t shortest_piece,
            core::Lane lane) noexcept;

}  // namespace gilpool::bindings
