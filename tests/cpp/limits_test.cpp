// Limits: what is read from a made-up /proc and /sys, and that this machine gives sane answers.
#include "core/limits.hpp"

#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <limits>
#include <thread>

namespace gilpool::core {
namespace {

namespace fs = std::filesystem;

constexpr std::size_t kNoLimit = std::numeric_limits<std::size_t>::max();

class Limits : public ::testing::Test {
  protected:
    void SetUp() override {
        std::string pattern = (fs::temp_directory_path() / "gilpool-limits-XXXXXX").string();
        ASSERT_NE(mkdtemp(pattern.data()), nullptr);
        root = pattern;
    }
    void TearDown() override { fs::remove_all(root); }

    void write(const std::string& path, const std::string& text) const {
        fs::create_directories(fs::path(root + path).parent_path());
        std::ofstream(root + path) << text;
    }
    void unified(const std::string& group, const std::string& visible = "/") const {
        write("/proc/self/cgroup", "0::" + group + "\n");
        write("/proc/self/mountinfo",
              "29 23 0:26 " + visible + " /sys/fs/cgroup rw,nosuid - cgroup2 cgroup2 rw\n");
    }

    std::string root;
};

TEST_F(Limits, WithoutCgroupsTheAffinityDecides) {
    EXPECT_EQ(usable_cores(root, 8), 8U);
    EXPECT_EQ(usable_cores(root, 0), 1U);
}

TEST_F(Limits, AVersion2QuotaIsRoundedUp) {
    unified("/app");
    write("/sys/fs/cgroup/app/cpu.max", "150000 100000\n");
    EXPECT_EQ(usable_cores(root, 8), 2U);
    EXPECT_EQ(usable_cores(root, 1), 1U);
}

TEST_F(Limits, MaxMeansNoQuota) {
    unified("/app");
    write("/sys/fs/cgroup/app/cpu.max", "max 100000\n");
    EXPECT_EQ(usable_cores(root, 8), 8U);
}

TEST_F(Limits, TheTightestAncestorCounts) {
    unified("/a/b");
    write("/sys/fs/cgroup/a/b/cpu.max", "400000 100000\n");
    write("/sys/fs/cgroup/a/cpu.max", "300000 100000\n");
    EXPECT_EQ(usable_cores(root, 8), 3U);
}

TEST_F(Limits, AContainerSeesItsOwnSubtreeAsTheMount) {
    unified("/docker/4711", "/docker/4711");
    write("/sys/fs/cgroup/cpu.max", "50000 100000\n");
    EXPECT_EQ(usable_cores(root, 8), 1U);
}

TEST_F(Limits, AVersion1QuotaIsReadFromItsController) {
    write("/proc/self/cgroup", "3:cpuset:/x\n2:cpu,cpuacct:/job\n0::/\n");
    write("/proc/self/mountinfo",
          "30 25 0:1 / /sys/fs/cgroup/cpuset rw - cgroup cgroup rw,cpuset\n"
          "31 25 0:2 / /sys/fs/cgroup/cpu rw shared:9 - cgroup cgroup rw,cpu,cpuacct\n");
    write("/sys/fs/cgroup/cpu/job/cpu.cfs_quota_us", "200000\n");
    write("/sys/fs/cgroup/cpu/job/cpu.cfs_period_us", "100000\n");
    EXPECT_EQ(usable_cores(root, 8), 2U);
    write("/sys/fs/cgroup/cpu/job/cpu.cfs_quota_us", "-1\n");
    EXPECT_EQ(usable_cores(root, 8), 8U);
}

TEST_F(Limits, WithoutAnyLimitThreadsAreCappedAnyway) {
    EXPECT_EQ(thread_allowance(root, kNoLimit), kMostThreads);
}

TEST_F(Limits, EachSystemFileCanBeTheTightest) {
    write("/proc/loadavg", "0.1 0.2 0.3 1/200 4711\n");
    const auto seven_eighths = [](std::size_t left) { return left - left / 8; };
    EXPECT_EQ(thread_allowance(root, 1'000), seven_eighths(800));
    write("/proc/sys/kernel/threads-max", "900\n");
    EXPECT_EQ(thread_allowance(root, kNoLimit), seven_eighths(700));
    write("/proc/sys/kernel/pid_max", "800\n");
    EXPECT_EQ(thread_allowance(root, kNoLimit), seven_eighths(600));
    write("/proc/sys/vm/max_map_count", "1003\n");
    write("/proc/self/maps", "a\nb\nc\n");
    EXPECT_EQ(thread_allowance(root, kNoLimit), seven_eighths(500));
    unified("/app");
    write("/sys/fs/cgroup/app/pids.max", "450\n");
    write("/sys/fs/cgroup/app/pids.current", "50\n");
    EXPECT_EQ(thread_allowance(root, kNoLimit), seven_eighths(400));
}

TEST_F(Limits, AnExhaustedLimitStillAllowsOneThread) {
    write("/proc/loadavg", "0.1 0.2 0.3 1/200 4711\n");
    EXPECT_EQ(thread_allowance(root, 100), 1U);
}

TEST_F(Limits, OddFilesMeanNoLimit) {
    write("/proc/self/cgroup", "nonsense\n::\n0::/app\n");
    write("/proc/self/mountinfo", "too few words\n\n1 2 3 / /sys/fs/cgroup rw - cgroup2 x rw\n");
    write("/sys/fs/cgroup/app/cpu.max", "zero\n");
    write("/sys/fs/cgroup/app/pids.max", "max\n");
    write("/proc/loadavg", "");
    EXPECT_EQ(usable_cores(root, 3), 3U);
    EXPECT_EQ(thread_allowance(root, kNoLimit), kMostThreads);
}

TEST(LimitsOfThisMachine, AreWithinReason) {
    EXPECT_GE(usable_cores(), 1U);
    EXPECT_LE(usable_cores(), std::max(1U, std::thread::hardware_concurrency()));
    EXPECT_GE(thread_allowance(), 1U);
    EXPECT_LE(thread_allowance(), kMostThreads);
}

}  // namespace
}  // namespace gilpool::core
