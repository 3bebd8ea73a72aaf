// Reads getrusage and /proc/self.
#include "usage.hpp"

#include <algorithm>
#include <fstream>
#include <string>

namespace gilpool::benchmarks {
namespace {

rusage usage_now() {
    rusage usage{};
    getrusage(RUSAGE_SELF, &usage);
    return usage;
}

double seconds_of(const timeval& time) {
    return static_cast<double>(time.tv_sec) + static_cast<double>(time.tv_usec) / 1e6;
}

double cpu_seconds(const rusage& usage) {
    return seconds_of(usage.ru_utime) + seconds_of(usage.ru_stime);
}

/// A line such as "VmHWM:   1234 kB" of /proc/self/status, in kB.
std::size_t status_kb(const std::string& key) {
    std::ifstream status("/proc/self/status");
    for (std::string word; status >> word;) {
        if (word == key) {
            std::size_t kb = 0;
            status >> kb;
            return kb;
        }
    }
    return 0;
}

}  // namespace

Stretch::Stretch() : before_(usage_now()), start_(std::chrono::steady_clock::now()) {}

double Stretch::seconds() const {
    return std::chrono::duration<double>(std::chrono::steady_clock::now() - start_).count();
}

void Stretch::report(benchmark::State& state) const {
    state.SetIterationTime(seconds());
    const rusage after = usage_now();
    state.counters["cpu"] = cpu_seconds(after) - cpu_seconds(before_);
    state.counters["voluntary"] = static_cast<double>(after.ru_nvcsw - before_.ru_nvcsw);
    state.counters["involuntary"] = static_cast<double>(after.ru_nivcsw - before_.ru_nivcsw);
}

MemoryGrowth::MemoryGrowth() {
    // "5" has the kernel forget the highest point so far.
    std::ofstream("/proc/self/clear_refs") << "5";
    before_ = status_kb("VmRSS:");
}

double MemoryGrowth::megabytes() const {
    const std::size_t peak = status_kb("VmHWM:");
    return peak > before_ ? static_cast<double>(peak - before_) / 1024 : 0.0;
}

double percentile(std::vector<float>& samples, double part) {
    if (samples.empty()) {
        return 0.0;
    }
    std::sort(samples.begin(), samples.end());
    return samples[static_cast<std::size_t>(part * static_cast<double>(samples.size() - 1))];
}

}  // namespace gilpool::benchmarks
