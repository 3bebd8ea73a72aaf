// One native thread of the library's own: small, without signals, and truly gone after the join.
// Not thread-safe: the owner's lock guards every call.
#include "core/service_thread.hpp"

#include <algorithm>
#include <cassert>
#include <climits>

#include "core/native_thread.hpp"

namespace gilpool::core {
namespace {

/// Plenty for code that is all ours, and little address space.
constexpr std::size_t kStackSize = 256 * 1024;

}  // namespace

bool ServiceThread::start(const char* name, Function function, void* context) noexcept {
    assert(!joinable_);
    function_ = function;
    context_ = context;
    pthread_attr_t attributes;
    if (::pthread_attr_init(&attributes) != 0) {
        return false;
    }
    ::pthread_attr_setstacksize(&attributes, std::max<std::size_t>(kStackSize, PTHREAD_STACK_MIN));
    {
        const SignalsBlocked blocked;
        signals_ = blocked.signals_to_hand_on();
        joinable_ = ::pthread_create(&thread_, &attributes, &ServiceThread::enter, this) == 0;
    }
    ::pthread_attr_destroy(&attributes);
#ifdef __linux__
    if (joinable_) {
        ::pthread_setname_np(thread_, name);
    }
#else
    (void)name;
#endif
    return joinable_;
}

void ServiceThread::join() noexcept {
    if (!joinable_) {
        return;
    }
    ::pthread_join(thread_, nullptr);
    wait_until_forgotten(id_);
    joinable_ = false;
}

void* ServiceThread::enter(void* self) noexcept {
    auto& thread = *static_cast<ServiceThread*>(self);
    thread.id_ = kernel_id();
    keep_handed_on(thread.signals_);
    thread.function_(thread.context_);
    return nullptr;
}

}  // namespace gilpool::core
