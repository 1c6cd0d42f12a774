SELECT usher.define_machine('shop_product', '{
    "initial": ["draft"],
    "transitions": [
        {"from": null, "to": "draft", "action": "create", "event": "created"},
        {"from": "draft", "to": "active", "action": "activate", "event": "activated"},
        {"from": ["draft", "active"], "to": "archived", "action": "archive", "event": "archived"},
        {"from": "archived", "to": "active", "action": "reactivate", "event": "activated"}]}');
