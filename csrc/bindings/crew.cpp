// bindings/crew.cpp: making, finding and ending crews.
#include "bindings/crew.hpp"

#include <algorithm>
#include <chrono>
#include <new>
#include <utility>
#include <vector>

#include "bindings/gil.hpp"
#include "bindings/pool_type.hpp"
#include "bindings/task_type.hpp"

namespace gilpool::bindings {

namespace {

using CrewList = std::vector<std::weak_ptr<Crew>>;

CrewList* g_crews = nullptr;   // GIL; never freed: threads may outlive main()
unsigned g_unnamed_pools = 0;  // GIL
constinit thread_local Crew* t_own_crew = nullptr;

/// What a pool's threads are named after.
std::string crew_name(const PoolObject* pool) {
    const char* given = pool->name != Py_None ? PyUnicode_AsUTF8(pool->name) : nullptr;
    if (given == nullptr) {  // not given, or not to be had in UTF-8 (lone surrogates)
        PyErr_Clear();
        return "Pool-" + std::to_string(++g_unnamed_pools);
    }
    return given;
}

core::PoolOptions options_for(const std::string& name) {
    core::PoolOptions options;
    options.cpu_tokens = 1;  // serves the blocking lane only
    options.idle_timeout = std::chrono::nanoseconds::max();
    options.name = name.c_str();
    return options;
}

/// Every crew that exists, kept alive by the result: which may so become the last to let go of one,
/// and must not with the GIL, for that joins workers who need it.
std::vector<std::shared_ptr<Crew>> living_crews() {
    std::vector<std::shared_ptr<Crew>> living;
    if (g_crews != nullptr) {
        for (const std::weak_ptr<Crew>& crew : *g_crews) {
            if (std::shared_ptr<Crew> alive = crew.lock()) {
                living.push_back(std::move(alive));
            }
        }
    }
    return living;
}

/// Joins the workers, which need the GIL for their last steps: so on a thread without it.
void end_crew(void* holder) {
    delete static_cast<std::shared_ptr<Crew>*>(holder);
}

}  // namespace

Crew::Crew(std::string name) : name_(std::move(name)), workers_(options_for(name_)) {
    workers_.set_thread_hooks({.on_exit = &WorkerThreadState::destroy});
}

std::string Crew::next_thread_name() {
    return name_ + "_" + std::to_string(threads_named_.fetch_add(1, std::memory_order_relaxed));
}

bool ensure_crew(PoolObject* pool) {
    if (pool->initializer == nullptr || pool->crew != nullptr) {
        return true;
    }
    try {
        if (g_crews == nullptr) {
            g_crews = new CrewList;
        }
        std::erase_if(*g_crews, [](const auto& crew) { return crew.expired(); });
        auto crew = std::make_shared<Crew>(crew_name(pool));
        g_crews->push_back(crew);
        pool->crew = std::move(crew);
    } catch (const std::bad_alloc&) {
        return false;
    }
    return true;
}

bool post_to_crew(PoolObject* pool, core::Pool::Function function) {
    Crew* const crew = pool->crew.get();
    try {
        if (crew == nullptr) {
            return core::Pool::process().post(function, nullptr, core::Lane::blocking);
        }
        if (pool->size >= 0) {
            const Py_ssize_t most = std::max<Py_ssize_t>(pool->size + pool->lent, crew->busy() + 1);
            crew->workers().resize(0, static_cast<std::size_t>(most));
        }
        return crew->workers().post(function, crew, core::Lane::blocking);
    } catch (const std::bad_alloc&) {
        return false;
    }
}

void dismiss_crew(PoolObject* pool) {
    if (pool->crew == nullptr) {
        return;
    }
    auto* const holder = new (std::nothrow) std::shared_ptr<Crew>(std::move(pool->crew));
    // Once the process's workers are gone the crew's are, too; what is left of it is the kernel's.
    if (holder != nullptr) {
        core::Pool::process().post(&end_crew, holder, core::Lane::blocking);
    }
}

void set_own_crew(Crew* crew) {
    t_own_crew = crew;
}

Crew* own_crew() {
    return t_own_crew;
}

void forget_crew_workers() {
    for (const std::shared_ptr<Crew>& crew : living_crews()) {
        crew->forget_workers(crew.get() == t_own_crew && current_task() != nullptr);
    }
}

void add_crews_to(core::PoolStats& stats) {
    std::vector<std::shared_ptr<Crew>> crews = living_crews();
    for (const std::shared_ptr<Crew>& crew : crews) {
        const core::PoolStats own = crew->workers().stats();
        stats.threads += own.threads;
        stats.idle += own.idle;
        stats.grown += own.grown;
        stats.retired += own.retired;
    }
    if (!crews.empty()) {
        const Released released;
        crews.clear();
    }
}

void quiesce_crews(core::TimePoint deadline) {
    std::vector<std::shared_ptr<Crew>> crews = living_crews();
    const Released released;
    for (const std::shared_ptr<Crew>& crew : crews) {
        crew->workers().quiesce(deadline);
    }
    crews.clear();
}

void shut_down_crews(core::TimePoint deadline) {
    // Kept for good: who is left behind may come back.
    auto* const crews = new std::vector<std::shared_ptr<Crew>>(living_crews());
    const Released released;
    for (const std::shared_ptr<Crew>& crew : *crews) {
        crew->workers().shutdown(deadline);
    }
}

}  // namespace gilpool::bindings
