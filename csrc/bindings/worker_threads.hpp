// bindings/worker_threads.hpp: what makes a native worker look like a Python thread, and a pool's
// initializer. Called on the worker, GIL held.
#pragma once

namespace gilpool::bindings {

struct PoolObject;

/// Enters the worker in threading's books under a name of its own: threading.current_thread(),
/// logging and debuggers then show it. Never raises.
void register_worker_thread();

/// Takes it out of them again, before the worker ends.
void unregister_worker_thread();

/// Installs what threading.settrace() and threading.setprofile() were given, if that has changed.
void follow_thread_hooks();

/// Calls the pool's initializer unless this worker has done so. False, and the pool broken, if it
/// raised: the exception is set.
bool initialize_worker(PoolObject* pool);

/// True on a thread that is in a pool's initializer.
bool is_initializing();

/// True with a RuntimeError set if the calling thread is in this very pool's initializer: it must
/// not wait for the pool's other workers, since each has to run the initializer first.
bool initializer_may_not_wait(const PoolObject* pool);

}  // namespace gilpool::bindings
