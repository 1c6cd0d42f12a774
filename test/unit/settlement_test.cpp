#include "usher_payment/settlement/settlement.hpp"
#include <gtest/gtest.h>

using namespace usher::payment;

TEST(Settlement, SuccessPaysWhatIsUnderWay) {
    EXPECT_EQ(decide(Outcome::requested, Status::processing, Outcome::succeeded), Step::capture);
    EXPECT_EQ(decide(Outcome::unknown, Status::processing, Outcome::succeeded), Step::capture);
}

TEST(Settlement, SuccessIsFinal) {
    for (const Outcome reported : {Outcome::unknown, Outcome::declined, Outcome::succeeded})
        for (const Status status : {Status::processing, Status::completed, Status::failed, Status::refunded}) {
            EXPECT_EQ(decide(Outcome::succeeded, status, reported), Step::none);
            EXPECT_EQ(decide(Outcome::superseded, status, reported), Step::none);
        }
}

TEST(Settlement, ATimeoutIsNotANo) {
    EXPECT_EQ(decide(Outcome::requested, Status::processing, Outcome::unknown), Step::wait);
    EXPECT_EQ(decide(Outcome::unknown, Status::processing, Outcome::unknown), Step::none);
    EXPECT_EQ(decide(Outcome::declined, Status::failed, Outcome::unknown), Step::none);
}

TEST(Settlement, ANoEndsALiveAttemptOnce) {
    EXPECT_EQ(decide(Outcome::requested, Status::processing, Outcome::declined), Step::decline);
    EXPECT_EQ(decide(Outcome::unknown, Status::processing, Outcome::declined), Step::decline);
    EXPECT_EQ(decide(Outcome::declined, Status::failed, Outcome::declined), Step::none);
}

TEST(Settlement, LateSuccessPaysWhatHadFailed) {
    EXPECT_EQ(decide(Outcome::declined, Status::failed, Outcome::succeeded), Step::capture_late);
    EXPECT_EQ(decide(Outcome::declined, Status::processing, Outcome::succeeded), Step::capture_late);
}

TEST(Settlement, WhatIsPaidTwiceGoesBack) {
    for (const Outcome attempt : {Outcome::requested, Outcome::unknown, Outcome::declined})
        for (const Status status : {Status::completed, Status::refunded})
            EXPECT_EQ(decide(attempt, status, Outcome::succeeded), Step::give_back);
}

TEST(Settlement, NothingFollowsSuccess) {
    for (const Outcome to : {Outcome::requested, Outcome::unknown, Outcome::declined}) {
        EXPECT_FALSE(may_follow(Outcome::succeeded, to));
        EXPECT_FALSE(may_follow(Outcome::superseded, to));
    }
    EXPECT_TRUE(may_follow(Outcome::declined, Outcome::succeeded));
    EXPECT_FALSE(may_follow(Outcome::declined, Outcome::requested));
    EXPECT_TRUE(may_follow(Outcome::unknown, Outcome::requested));
}

TEST(Settlement, RefundKeepsItsReservationWhileNobodyKnows) {
    EXPECT_EQ(decide_refund(RefundStatus::pending, Outcome::unknown), RefundStep::keep);
    EXPECT_EQ(decide_refund(RefundStatus::processing, Outcome::declined), RefundStep::fail);
    EXPECT_EQ(decide_refund(RefundStatus::processing, Outcome::succeeded), RefundStep::succeed);
}

TEST(Settlement, RefundThatSucceededIsNotTakenBack) {
    EXPECT_EQ(decide_refund(RefundStatus::succeeded, Outcome::unknown), RefundStep::none);
    EXPECT_EQ(decide_refund(RefundStatus::succeeded, Outcome::succeeded), RefundStep::none);
    EXPECT_EQ(decide_refund(RefundStatus::succeeded, Outcome::declined), RefundStep::contradict);
    EXPECT_EQ(decide_refund(RefundStatus::failed, Outcome::succeeded), RefundStep::succeed_late);
    EXPECT_EQ(decide_refund(RefundStatus::cancelled, Outcome::succeeded), RefundStep::succeed_late);
}

TEST(Settlement, NamesAreParsedAndNothingElse) {
    for (const Outcome each :
         {Outcome::requested, Outcome::superseded, Outcome::unknown, Outcome::declined, Outcome::succeeded})
        EXPECT_EQ(parse_outcome(name_of(each)), each);
    EXPECT_FALSE(parse_outcome("paid"));
    EXPECT_FALSE(parse_status("Completed"));
    EXPECT_FALSE(parse_refund_status(""));
}
