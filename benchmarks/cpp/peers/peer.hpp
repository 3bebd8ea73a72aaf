// What a contestant is: a pool of kWorkers threads behind the smallest interface that all of them
// have. Each peer is written as its own users would write it; no peer is given less than it can do.
#pragma once

#include <concepts>
#include <span>
#include <vector>

namespace gilpool::benchmarks {

/// The same for everybody. Submitters and waiters come on top of these.
inline constexpr int kWorkers = 2;

using Function = void (*)(void* context);

/// A pool runs each posted function once, on a thread of its own. Threads submit through a
/// `Submitter` each, since some queues keep state for a producer.
///
/// `Entry` is what a queue holds, so that a batch is prepared outside the measurement alike.
template <class P>
concept Peer = requires(P& pool, typename P::Submitter& submitter, Function function, void* context,
                        std::span<const typename P::Entry> entries) {
    { P::kName } -> std::convertible_to<const char*>;
    requires std::constructible_from<P, int>;
    requires std::constructible_from<typename P::Submitter, P&>;
    submitter.post(function, context);
    submitter.post_many(entries);
    { P::entry(function, context) } -> std::same_as<typename P::Entry>;
};

/// entries_of<P>() is a batch of equal entries.
template <Peer P>
std::vector<typename P::Entry> entries_of(std::size_t count, Function function, void* context) {
    return std::vector<typename P::Entry>(count, P::entry(function, context));
}

}  // namespace gilpool::benchmarks
