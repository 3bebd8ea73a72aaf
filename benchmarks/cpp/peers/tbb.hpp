// oneTBB: an arena whose slots all belong to workers, so that no submitter runs a task.
#pragma once

#include <oneapi/tbb/global_control.h>
#include <oneapi/tbb/task_arena.h>

#include <span>

#include "peers/peer.hpp"

namespace gilpool::benchmarks {

class Tbb {
  public:
    static constexpr const char* kName = "tbb";
    struct Entry {
        Function function;
        void* context;
    };

    /// The global limit counts the calling thread, which takes no slot here: hence one more.
    explicit Tbb(int workers)
        : limit_(oneapi::tbb::global_control::max_allowed_parallelism,
                 static_cast<std::size_t>(workers) + 1),
          arena_(workers, 0) {}

    class Submitter {
      public:
        explicit Submitter(Tbb& pool) : arena_(pool.arena_) {}

        void post(Function function, void* context) {
            arena_.enqueue([function, context] { function(context); });
        }

        /// There is no bulk call from outside of an arena.
        void post_many(std::span<const Entry> entries) {
            for (const Entry& entry : entries) {
                post(entry.function, entry.context);
            }
        }

      private:
        oneapi::tbb::task_arena& arena_;
    };

    static Entry entry(Function function, void* context) { return {function, context}; }

  private:
    oneapi::tbb::global_control limit_;
    oneapi::tbb::task_arena arena_;
};
static_assert(Peer<Tbb>);

}  // namespace gilpool::benchmarks
