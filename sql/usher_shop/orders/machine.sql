-- Which status may follow which. When it does, the rules of orders decide (extension/usher_shop/orders/ordering.cpp);
-- order.placed and the others are published by the trigger of orders, with the lines.
SELECT usher.define_machine('shop_order', '{
    "initial": ["cart"], "terminal": ["completed", "cancelled"],
    "transitions": [
        {"from": null, "to": "cart", "action": "begin"},
        {"from": "cart", "to": "placed", "action": "place"},
        {"from": "placed", "to": "paid", "action": "pay"},
        {"from": "paid", "to": "fulfilled", "action": "fulfil"},
        {"from": "fulfilled", "to": "paid", "action": "recall"},
        {"from": "fulfilled", "to": "completed", "action": "complete"},
        {"from": "cart", "to": "cancelled", "action": "give_up"},
        {"from": ["placed", "paid"], "to": "cancelled", "action": "cancel"}]}');
