// Definitions of status machines: what is accepted, what is refused and why, and what follows from one.
#include "common/error.hpp"
#include "common/json.hpp"
#include "usher/machines/machine.hpp"
#include <algorithm>
#include <gtest/gtest.h>

namespace {

using namespace usher::machine;

constexpr std::string_view booking = R"json({
    "initial": ["pending"], "terminal": ["completed", "cancelled"],
    "transitions": [
        {"from": null, "to": "pending", "action": "create", "event": "created"},
        {"from": "pending", "to": "confirmed", "action": "confirm", "permission": "booking:confirm", "event": "confirmed"},
        {"from": ["pending", "confirmed"], "to": "cancelled", "action": "cancel", "permission": "booking:cancel"},
        {"from": ["pending", "confirmed"], "to": "cancelled", "action": "reject", "permission": "booking:manage",
         "requires_reason": true},
        {"from": "confirmed", "to": "confirmed", "action": "reschedule", "columns": ["starts_at"]},
        {"from": "confirmed", "to": "completed", "action": "complete", "guard": "wash.may_complete(jsonb,jsonb)"}]})json";

std::string refusal(std::string_view definition) {
    try {
        Machine::parse(definition);
    } catch (const usher::Error &error) {
        EXPECT_EQ(error.sqlstate(), "22023");
        usher::json::Document detail;
        EXPECT_TRUE(detail.parse(error.detail())) << error.detail();
        return error.what();
    }
    return "accepted";
}

std::string with_transition(std::string_view transition) {
    return R"({"initial":["a"],"terminal":["z"],"transitions":[)" + std::string(transition) + "]}";
}

TEST(MachineDefinition, KnowsItsStatuses) {
    const Machine machine = Machine::parse(booking);
    EXPECT_EQ(machine.statuses().size(), 4U);
    EXPECT_TRUE(machine.is_initial(machine.find("pending").value()));
    EXPECT_FALSE(machine.is_initial(machine.find("confirmed").value()));
    EXPECT_FALSE(machine.find("Pending"));
    EXPECT_FALSE(machine.find(""));
}

TEST(MachineDefinition, FindsTransitionsInTheirOrder) {
    const Machine machine = Machine::parse(booking);
    const auto found = machine.between(machine.find("confirmed").value(), machine.find("cancelled").value());
    ASSERT_EQ(found.size(), 2U);
    EXPECT_EQ(found[0].action, "cancel");
    EXPECT_EQ(found[1].action, "reject");
    EXPECT_TRUE(found[1].requires_reason);
    EXPECT_EQ(found[1].permission, "booking:manage");
}

TEST(MachineDefinition, FindsNoTransitionThatIsNotThere) {
    const Machine machine = Machine::parse(booking);
    EXPECT_TRUE(machine.between(machine.find("pending").value(), machine.find("completed").value()).empty());
    EXPECT_TRUE(machine.between(machine.find("completed").value(), machine.find("pending").value()).empty());
    EXPECT_TRUE(machine.between(nowhere, machine.find("confirmed").value()).empty());
    EXPECT_EQ(machine.between(nowhere, machine.find("pending").value()).front().event, "created");
}

TEST(MachineDefinition, NamesTargetsOnceAndWithoutTheStatusItself) {
    const Machine machine = Machine::parse(booking);
    std::vector<std::string_view> targets = machine.targets(machine.find("confirmed").value());
    std::sort(targets.begin(), targets.end());
    EXPECT_EQ(targets, (std::vector<std::string_view>{"cancelled", "completed"}));
    EXPECT_EQ(machine.targets(nowhere), std::vector<std::string_view>{"pending"});
}

TEST(MachineDefinition, TakesOneNameForAListOfOne) {
    EXPECT_TRUE(Machine::parse(R"({"initial":"a","terminal":"a","transitions":[]})").is_initial(0));
}

TEST(MachineDefinition, RefusesWhatIsNotADefinition) {
    EXPECT_NE(refusal("").find("not valid JSON"), std::string::npos);
    EXPECT_NE(refusal("[]").find("must be an object, not array"), std::string::npos);
    EXPECT_NE(refusal("{}").find("initial is missing"), std::string::npos);
    EXPECT_NE(refusal(R"({"initial":[],"transitions":[]})").find("initial must not be empty"), std::string::npos);
    EXPECT_NE(refusal(R"({"initial":["a"]})").find("transitions is missing"), std::string::npos);
    EXPECT_NE(refusal(R"({"initial":["a"],"transitions":{}})").find("transitions must be a list"), std::string::npos);
    EXPECT_NE(refusal(R"({"initial":["a","a"],"transitions":[]})").find("twice"), std::string::npos);
    EXPECT_NE(refusal(R"({"initial":[1],"transitions":[]})").find("initial[0] must be a string, not number"),
              std::string::npos);
    EXPECT_NE(refusal(R"({"initial":[""],"transitions":[]})").find("initial[0] must not be empty"), std::string::npos);
    EXPECT_NE(refusal(R"({"initial":["a\n"],"transitions":[]})").find("control"), std::string::npos);
    EXPECT_NE(refusal(R"({"initial":["a"],"transitions":[],"states":[]})").find("states is not a known key"),
              std::string::npos);
    EXPECT_NE(refusal(R"({"initial":[")" + std::string(64, 'x') + R"("],"transitions":[]})").find("63 bytes"),
              std::string::npos);
}

TEST(MachineDefinition, RefusesBadTransitions) {
    const auto told = [](std::string_view transition, std::string_view expected) {
        const std::string message = refusal(with_transition(transition));
        EXPECT_NE(message.find(expected), std::string::npos) << message;
    };
    told(R"(1)", "transitions[0] must be an object");
    told(R"({"to":"b","action":"x"})", "transitions[0].from is missing");
    told(R"({"from":"a","action":"x"})", "transitions[0].to is missing");
    told(R"({"from":"a","to":"b"})", "transitions[0].action is missing");
    told(R"({"from":[],"to":"b","action":"x"})", "transitions[0].from must not be empty");
    told(R"({"from":"a","to":"b","action":"x","permission":"confirm"})", "resource:action");
    told(R"({"from":"a","to":"b","action":"x","guard":"f"})", "signature");
    told(R"({"from":"a","to":"b","action":"x","requires_reason":1})", "true or false");
    told(R"({"from":"a","to":"b","action":"x","event":"a b"})", "letters");
    told(R"({"from":"a","to":"b","action":"x","form":"c"})", "transitions[0].form is not a known key");
    told(R"({"from":"z","to":"a","action":"x"})", "which is terminal");
    told(R"({"from":"a","to":"a","action":"x"})", "columns");
    told(R"({"from":"a","to":"b","action":"x","columns":["c"]})", "keeps the status");
    told(R"({"from":null,"to":"z","action":"x"})", "not initial");
    told(R"({"from":"a","to":"b","action":"x"},{"from":"a","to":"b","action":"x"})", "repeats");
}

TEST(MachineDefinition, RefusesTooManyStatuses) {
    std::string list;
    for (int i = 0; i < 201; ++i) list += (i == 0 ? "\"s" : ",\"s") + std::to_string(i) + "\"";
    EXPECT_NE(refusal(R"({"initial":[)" + list + R"(],"transitions":[]})").find("one status too many"),
              std::string::npos);
}

TEST(MachineValidation, IsSilentAboutASoundMachine) { EXPECT_TRUE(Machine::parse(booking).validate().empty()); }

TEST(MachineValidation, FindsWhatCanNeverHappenOrNeverEnd) {
    const Machine machine = Machine::parse(R"({"initial":["a"],"terminal":["z"],"transitions":[
        {"from":"a","to":"z","action":"end"}, {"from":"a","to":"stuck","action":"jam"},
        {"from":"a","to":"b","action":"go"}, {"from":"b","to":"c","action":"go"}, {"from":"c","to":"b","action":"back"},
        {"from":"island","to":"z","action":"swim"}]})");
    std::vector<std::string> found;
    for (const Finding &each : machine.validate()) found.push_back(each.rule + " " + each.status);
    std::sort(found.begin(), found.end());
    EXPECT_EQ(found, (std::vector<std::string>{"dead_end stuck", "no_way_to_terminal b", "no_way_to_terminal c",
                                               "unreachable_status island"}));
}

TEST(MachineValidation, FindsAMachineWithoutEnd) {
    const Machine machine = Machine::parse(R"({"initial":"on","transitions":[
        {"from":"on","to":"off","action":"off"},{"from":"off","to":"on","action":"on"}]})");
    ASSERT_EQ(machine.validate().size(), 1U);
    EXPECT_EQ(machine.validate().front().rule, "no_terminal");
}

TEST(MachineDiagram, IsMermaid) {
    EXPECT_EQ(Machine::parse(R"({"initial":"a","terminal":"in progress","transitions":[
                  {"from":"a","to":"in progress","action":"x: go"}]})")
                  .diagram(),
              "stateDiagram-v2\n"
              "    state \"in progress\" as status_1\n"
              "    [*] --> a\n"
              "    a --> status_1 : x#58; go\n"
              "    status_1 --> [*]\n");
}

TEST(MachineRefusal, IsJsonWhateverTheNamesHold) {
    const std::string text = detail({"wash.\"Odd\"", "1", "a\"b", "c", {"d", "e"}, "permission", "x:y"});
    usher::json::Document document;
    ASSERT_TRUE(document.parse(text)) << text;
    EXPECT_EQ(document.root().find("from")->as_string(), "a\"b");
    EXPECT_EQ(document.root().find("allowed")->size(), 2U);
    EXPECT_EQ(document.root().find("rule")->as_string(), "permission");
}

// Names are compared with each other: an endless list would take minutes.
TEST(Machine, RefusesEndlessListsOfNames) {
    std::string names;
    for (int i = 0; i < 2000; ++i) names += (i == 0 ? "\"" : ",\"") + std::to_string(i) + '"';
    EXPECT_THROW(Machine::parse(R"({"initial":[)" + names + R"(],"transitions":[]})"), usher::Error);
    EXPECT_THROW(Machine::parse(R"({"initial":["a"],"transitions":[{"from":"a","to":"a","action":"x","columns":[)" +
                                names + "]}]}"),
                 usher::Error);
}

} // namespace
