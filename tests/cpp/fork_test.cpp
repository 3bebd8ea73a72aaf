// Fork hooks: the order of the stages, and the generation number.
#include "core/fork.hpp"

#include <gtest/gtest.h>

#include <string>

#include "support/process.hpp"

namespace gilpool::core {
namespace {

std::string calls;

template <char kStage>
ForkHooks recording() {
    return {[] { calls += std::string("<") + kStage; }, [] { calls += std::string(">") + kStage; },
            [] { calls += std::string("*") + kStage; }};
}

class ForkHooksTest : public ::testing::Test {
  protected:
    void SetUp() override { calls.clear(); }
    void TearDown() override {
        for (const ForkStage stage : {ForkStage::pool, ForkStage::reactor, ForkStage::client}) {
            set_fork_hooks(stage, {});
        }
    }
};

TEST_F(ForkHooksTest, WhoFeedsAStageStopsBeforeItAndStartsAfterIt) {
    set_fork_hooks(ForkStage::client, recording<'c'>());
    set_fork_hooks(ForkStage::pool, recording<'p'>());
    set_fork_hooks(ForkStage::reactor, recording<'r'>());
    EXPECT_TRUE(testing::in_child([] { return calls == "<c<r<p*p*r*c"; }));
    EXPECT_EQ(calls, "<c<r<p>p>r>c");
}

TEST_F(ForkHooksTest, HooksCanBeReplacedAndLeftOut) {
    set_fork_hooks(ForkStage::reactor, recording<'a'>());
    set_fork_hooks(ForkStage::reactor, {nullptr, [] { calls += "b"; }, nullptr});
    EXPECT_TRUE(testing::in_child([] { return calls.empty(); }));
    EXPECT_EQ(calls, "b");
}

TEST_F(ForkHooksTest, EveryChildHasAGenerationOfItsOwn) {
    const std::uint32_t mine = fork_generation();
    EXPECT_TRUE(testing::in_child([&] {
        const bool next = fork_generation() == mine + 1;
        return next && testing::in_child([&] { return fork_generation() == mine + 2; });
    }));
    EXPECT_EQ(fork_generation(), mine);
}

}  // namespace
}  // namespace gilpool::core
