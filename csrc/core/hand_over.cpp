// HandOver: a list for each client, and two counts.
#include "core/hand_over.hpp"

#include <stdexcept>
#include <utility>

namespace gilpool::core {

ReactorClient HandOver::add_client(BatchFunction function, void* context) {
    if (client_count_ == clients_.size()) {
        throw std::length_error("a reactor serves at most 8 clients");
    }
    clients_[client_count_] = {function, context};
    return static_cast<ReactorClient>(client_count_++);
}

void HandOver::add(TimedWait& wait, WaitEnd result) noexcept {
    wait.state_ = TimedWait::State::ended;
    wait.result_ = result;
    wait.next_ = nullptr;
    List& list = gathered_.lists[static_cast<std::size_t>(wait.client_)];
    (list.last == nullptr ? list.first : list.last->next_) = &wait;
    list.last = &wait;
    ++gathered_.count;
}

bool HandOver::by_this_thread() const noexcept {
    return under_way() && ::pthread_equal(runs_them_, ::pthread_self());
}

void HandOver::deliver(Lock& lock) noexcept {
    if (empty()) {
        return;
    }
    // Another thread hands over only if it has ended waits for want of a reactor thread.
    wait_while_under_way(lock);
    const Batch batch = std::exchange(gathered_, {});
    const auto clients = clients_;
    ++begun_;
    runs_them_ = ::pthread_self();
    lock.unlock();
    for (std::size_t i = 0; i < clients.size(); ++i) {
        if (TimedWait* const first = batch.lists[i].first) {
            clients[i].function(first, clients[i].context);
        }
    }
    lock.lock();
    ++done_;
    changed_.notify_all();
}

void HandOver::wait_for_all(Lock& lock) noexcept {
    const std::uint64_t last = begun_ + (empty() ? 0 : 1);
    changed_.wait(lock, [&] { return done_ >= last; });
}

void HandOver::wait_while_under_way(Lock& lock) noexcept {
    changed_.wait(lock, [&] { return !under_way(); });
}

}  // namespace gilpool::core
