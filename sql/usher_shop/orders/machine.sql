-- Which status may follow which. When it does, the rules of orders decide (extension/usher_shop/orders/ordering.cpp).
SELECT usher.define_machine('shop_order', '{
    "initial": ["cart"], "terminal": ["completed", "cancelled"],
    "transitions": [
        {"from": null, "to": "cart", "action": "begin"},
        {"from": "cart", "to": "placed", "action": "place", "event": "placed"},
        {"from": "placed", "to": "paid", "action": "pay", "event": "paid"},
        {"from": "paid", "to": "fulfilled", "action": "fulfil", "event": "fulfilled"},
        {"from": "fulfilled", "to": "paid", "action": "recall", "event": "recalled"},
        {"from": "fulfilled", "to": "completed", "action": "complete", "event": "completed"},
        {"from": "cart", "to": "cancelled", "action": "give_up"},
        {"from": ["placed", "paid"], "to": "cancelled", "action": "cancel", "event": "cancelled"}]}');
