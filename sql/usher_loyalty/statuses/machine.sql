SELECT usher.define_machine('loyalty_reward', '{
    "initial": ["draft"], "terminal": ["retired"],
    "transitions": [
        {"from": null, "to": "draft", "action": "create"},
        {"from": ["draft", "paused"], "to": "active", "action": "activate", "event": "activated"},
        {"from": "active", "to": "paused", "action": "pause", "event": "paused"},
        {"from": ["draft", "active", "paused"], "to": "retired", "action": "retire", "event": "retired"}]}');

SELECT usher.define_machine('loyalty_redemption', '{
    "initial": ["reserved"], "terminal": ["reversed", "expired"],
    "transitions": [
        {"from": null, "to": "reserved", "action": "reserve", "event": "reserved"},
        {"from": "reserved", "to": "redeemed", "action": "redeem", "event": "redeemed"},
        {"from": ["reserved", "redeemed"], "to": "reversed", "action": "reverse", "event": "reversed"},
        {"from": "reserved", "to": "expired", "action": "expire", "event": "expired"}]}');

SELECT usher.define_machine('loyalty_offer', '{
    "initial": ["draft"], "terminal": ["archived"],
    "transitions": [
        {"from": null, "to": "draft", "action": "create"},
        {"from": "draft", "to": "scheduled", "action": "schedule", "event": "scheduled"},
        {"from": ["draft", "scheduled", "paused"], "to": "active", "action": "activate", "event": "activated"},
        {"from": "active", "to": "paused", "action": "pause", "event": "paused"},
        {"from": ["scheduled", "active", "paused"], "to": "expired", "action": "expire", "event": "expired"},
        {"from": ["draft", "scheduled", "active", "paused", "expired"], "to": "archived", "action": "archive",
         "event": "archived"}]}');

SELECT usher.define_machine('referral', '{
    "initial": ["pending"], "terminal": ["rewarded", "rejected", "expired"],
    "transitions": [
        {"from": null, "to": "pending", "action": "create", "event": "created"},
        {"from": "pending", "to": "qualified", "action": "qualify", "event": "qualified"},
        {"from": "qualified", "to": "rewarded", "action": "reward", "event": "rewarded"},
        {"from": ["pending", "qualified"], "to": "rejected", "action": "reject", "event": "rejected"},
        {"from": "pending", "to": "expired", "action": "expire", "event": "expired"}]}');

SELECT usher.define_machine('loyalty_ad', '{
    "initial": ["draft"], "terminal": ["archived"],
    "transitions": [
        {"from": null, "to": "draft", "action": "create"},
        {"from": ["draft", "paused"], "to": "active", "action": "activate", "event": "activated"},
        {"from": "active", "to": "paused", "action": "pause", "event": "paused"},
        {"from": ["draft", "active", "paused"], "to": "archived", "action": "archive", "event": "archived"}]}');
