// Reads the limits from /proc and /sys/fs/cgroup. A file that is missing or odd means "no limit".
#include "core/limits.hpp"

#include <sched.h>
#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <fstream>
#include <limits>
#include <optional>
#include <sstream>
#include <string_view>
#include <thread>
#include <vector>

namespace gilpool::core {

namespace {

constexpr std::size_t kUnlimited = std::numeric_limits<std::size_t>::max();

/// The first number in a file; nothing if there is none ("max", a missing file, a negative quota).
std::optional<double> read_number(const std::string& path) {
    std::ifstream file(path);
    double value = 0;
    if (file >> value && value >= 0) {
        return value;
    }
    return std::nullopt;
}

/// Where one cgroup controller's directories are: the mount, the group's path below it.
struct ControlGroup {
    bool unified = false;  // version 2
    std::string mount;     // as seen from `root`
    std::string path;      // "/a/b", or empty for the mount itself
};

bool lists(std::string_view comma_separated, std::string_view word) {
    while (!comma_separated.empty()) {
        const std::size_t comma = std::min(comma_separated.find(','), comma_separated.size());
        if (comma_separated.substr(0, comma) == word) {
            return true;
        }
        comma_separated.remove_prefix(std::min(comma + 1, comma_separated.size()));
    }
    return false;
}

/// The mount of a cgroup hierarchy and the part of it that is visible there (a container often sees
/// only its own subtree, under a group path that is named from outside).
void find_mount(const std::string& root, std::string_view controller, ControlGroup& group) {
    std::ifstream mounts(root + "/proc/self/mountinfo");
    std::string line;
    while (std::getline(mounts, line)) {
        std::istringstream words(line);
        std::string skip, visible, point, word, type, source, options;
        words >> skip >> skip >> skip >> visible >> point;
        while (words >> word && word != "-") {
        }
        words >> type >> source >> options;
        const bool matches =
            group.unified ? type == "cgroup2" : type == "cgroup" && lists(options, controller);
        if (!matches) {
            continue;
        }
        group.mount = root + point;
        if (visible != "/" && group.path.starts_with(visible)) {
            group.path.erase(0, visible.size());
        }
        // A group outside of what is mounted ("/../x"): its limits cannot be seen, its ancestors'
        // can.
        if (group.path == "/" || group.path.starts_with("/..")) {
            group.path.clear();
        }
        return;
    }
}

/// The groups this process is in that can hold `controller`: the version 1 hierarchy and version 2.
std::vector<ControlGroup> control_groups(const std::string& root, std::string_view controller) {
    std::vector<ControlGroup> found;
    std::ifstream groups(root + "/proc/self/cgroup");
    std::string line;
    while (std::getline(groups, line)) {
        const std::size_t first = line.find(':');
        const std::size_t second = line.find(':', first + 1);
        if (first == std::string::npos || second == std::string::npos) {
            continue;
        }
        const std::string controllers = line.substr(first + 1, second - first - 1);
        const bool unified = line.starts_with("0::");
        if (!unified && !lists(controllers, controller)) {
            continue;
        }
        ControlGroup group{unified, {}, line.substr(second + 1)};
        find_mount(root, controller, group);
        if (!group.mount.empty()) {
            found.push_back(std::move(group));
        }
    }
    return found;
}

/// Calls `visit(directory)` for the group and each of its ancestors up to the mount.
template <class Visit>
void for_each_level(const ControlGroup& group, Visit visit) {
    std::string path = group.path;
    while (true) {
        visit(group.mount + path);
        const std::size_t slash = path.rfind('/');
        if (slash == std::string::npos) {
            return;
        }
        path.resize(slash);
    }
}

/// Cores that a quota is worth, or nothing without one.
std::optional<double> quota_at(const std::string& directory, bool unified) {
    if (unified) {
        std::ifstream file(directory + "/cpu.max");
        double quota = 0;
        double period = 0;
        if (file >> quota >> period && period > 0) {
            return quota / period;
        }
        return std::nullopt;
    }
    const auto quota = read_number(directory + "/cpu.cfs_quota_us");
    const auto period = read_number(directory + "/cpu.cfs_period_us");
    if (quota && *quota > 0 && period && *period > 0) {
        return *quota / *period;
    }
    return std::nullopt;
}

/// What is left of `limit` after `used`.
std::size_t left(std::optional<double> limit, double used) {
    if (!limit || *limit >= static_cast<double>(kUnlimited)) {
        return kUnlimited;
    }
    return *limit > used ? static_cast<std::size_t>(*limit - used) : 0;
}

/// Threads that exist on this system: the number after the slash in /proc/loadavg.
double threads_on_system(const std::string& root) {
    std::ifstream file(root + "/proc/loadavg");
    std::string word;
    for (int field = 0; field < 4 && file >> word; ++field) {
    }
    const std::size_t slash = word.find('/');
    return slash == std::string::npos ? 0 : std::atof(word.c_str() + slash + 1);
}

double count_lines(const std::string& path) {
    std::ifstream file(path);
    return static_cast<double>(std::count(std::istreambuf_iterator<char>(file), {}, '\n'));
}

std::size_t affinity_count() {
#if defined(__linux__)
    // The mask must have room for every CPU that the kernel knows; grow until it has.
    for (int cpus = 1024; cpus <= 1 << 20; cpus *= 2) {
        cpu_set_t* const mask = CPU_ALLOC(cpus);
        if (mask == nullptr) {
            break;
        }
        const std::size_t bytes = CPU_ALLOC_SIZE(cpus);
        const bool known = sched_getaffinity(0, bytes, mask) == 0;
        const int count = known ? CPU_COUNT_S(bytes, mask) : 0;
        CPU_FREE(mask);
        if (known && count > 0) {
            return static_cast<std::size_t>(count);
        }
    }
#endif
    return std::max(1U, std::thread::hardware_concurrency());
}

/// RLIMIT_NPROC, which the kernel does not apply to the superuser.
std::size_t process_limit_of_user() {
    rlimit limit{};
    if (geteuid() == 0 || getrlimit(RLIMIT_NPROC, &limit) != 0 || limit.rlim_cur == RLIM_INFINITY) {
        return kUnlimited;
    }
    return static_cast<std::size_t>(limit.rlim_cur);
}

}  // namespace

std::size_t usable_cores(const std::string& root, std::size_t affinity) {
    double cores = static_cast<double>(affinity);
    for (const ControlGroup& group : control_groups(root, "cpu")) {
        for_each_level(group, [&](const std::string& directory) {
            if (const auto quota = quota_at(directory, group.unified)) {
                cores = std::min(cores, std::ceil(*quota));
            }
        });
    }
    return std::max<std::size_t>(1, static_cast<std::size_t>(cores));
}

std::size_t thread_allowance(const std::string& root, std::size_t process_limit) {
    const double everyone = threads_on_system(root);
    std::size_t allowed = kUnlimited;
    const auto also = [&](std::size_t limit) { allowed = std::min(allowed, limit); };
    // The user's own share of `everyone` is not known cheaply; all of it is the safe assumption.
    also(process_limit == kUnlimited ? kUnlimited
                                     : left(static_cast<double>(process_limit), everyone));
    also(left(read_number(root + "/proc/sys/kernel/threads-max"), everyone));
    also(left(read_number(root + "/proc/sys/kernel/pid_max"), everyone));
    if (const auto maps = read_number(root + "/proc/sys/vm/max_map_count")) {
        // Two mappings a thread: the stack and its guard page.
        also(left(maps, count_lines(root + "/proc/self/maps")) / 2);
    }
    for (const ControlGroup& group : control_groups(root, "pids")) {
        for_each_level(group, [&](const std::string& directory) {
            also(left(read_number(directory + "/pids.max"),
                      read_number(directory + "/pids.current").value_or(0)));
        });
    }
    // One eighth stays for everything else that wants to start.
    return std::clamp<std::size_t>(allowed - allowed / 8, 1, kMostThreads);
}

std::size_t usable_cores() {
    return usable_cores("", affinity_count());
}

std::size_t thread_allowance() {
    return thread_allowance("", process_limit_of_user());
}

}  // namespace gilpool::core
