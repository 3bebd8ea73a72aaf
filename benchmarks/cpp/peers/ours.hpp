// gilpool's own pool, by its fire-and-forget face.
#pragma once

#include <span>
#include <stdexcept>

#include "core/pool.hpp"
#include "peers/peer.hpp"

namespace gilpool::benchmarks {

/// our_options() are the defaults with a given number of cpu tokens.
inline core::PoolOptions our_options(int workers) {
    core::PoolOptions options;
    options.cpu_tokens = static_cast<std::size_t>(workers);
    return options;
}

class Ours {
  public:
    static constexpr const char* kName = "gilpool";
    using Entry = core::Job;

    explicit Ours(int workers) : pool_(our_options(workers)) {}

    class Submitter {
      public:
        explicit Submitter(Ours& peer) : pool_(peer.pool_) {}
        void post(Function function, void* context) {
            if (!pool_.post(function, context, core::Lane::cpu)) {
                throw std::runtime_error("the pool refused a job");
            }
        }
        void post_many(std::span<const Entry> entries) {
            if (pool_.post_many(entries, core::Lane::cpu) != entries.size()) {
                throw std::runtime_error("the pool refused a job");
            }
        }

      private:
        core::Pool& pool_;
    };

    static Entry entry(Function function, void* context) { return {function, context}; }
    core::Pool& pool() { return pool_; }

  private:
    core::Pool pool_;
};
static_assert(Peer<Ours>);

}  // namespace gilpool::benchmarks
